/**
 * FFmpeg's demuxers in the WebAssembly module. It reads a file and returns the pictures of its
 * first video track. They are identical to those of the ffmpeg command. The host is
 * src/video/ffmpeg/wasmReader.ts.
 */
#include "decoder.h"
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/**
 * Imported from the host: copies bytes of the file from an offset. Returns their number, 0 at the
 * end, or a negative error. The host may unwind the call stack to wait for bytes, and rewind it
 * later. build.sh instruments the callers for that (Asyncify).
 */
__attribute__((import_module("host"), import_name("read"))) int readHost(
  double at, uint8_t *into, int size
);

/** Size of the buffer for reads. */
enum { BUFFER = 1 << 15 };

/** Pixels of the largest picture, as in src/video/frame.ts. */
#define MAX_PIXELS "67108864"

static AVFormatContext *file;
static AVStream *track;
static int64_t position, length;

/** Whether damage is skipped. */
static int skipsDamage;

/** Properties of the open file. Times are in seconds; NaN: unknown. */
static struct {
  double duration, fps;
  const char *codec, *profile, *matrix;
  int32_t range, siting, rotation, isMirrored;
} facts;

/**
 * Properties of the last picture, for the host. `time` is the timestamp in seconds; NaN: unknown.
 * `aspect` is the width of a pixel divided by its height; 0: unknown. `damages` is the number of
 * skipped errors until now, `damage` the text of the last one.
 */
static struct {
  double time, aspect;
  int32_t damages;
  const char *damage;
} moment;

/** Text of the last skipped error. */
static char damage[sizeof lastError];

/** Number of reads; identifies the packet of the last one. */
static intptr_t reads;

/** The error that ends reading; 0: none. Pictures of earlier packets are returned before it. */
static int pendingError;

void *EXPORT(factsAt)(void) { return &facts; }
void *EXPORT(momentAt)(void) { return &moment; }

static int readBytes(void *opaque, uint8_t *into, int size) {
  int got = readHost((double)position, into, size);
  if (got < 0) return AVERROR(EIO);
  position += got;
  return got > 0 ? got : AVERROR_EOF;
}

static int64_t seekBytes(void *opaque, int64_t offset, int whence) {
  if (whence == AVSEEK_SIZE) return length;
  if (whence != SEEK_SET || offset < 0) return AVERROR(EINVAL);
  return position = offset;
}

/** Reads rotation (clockwise degrees) and mirroring (before it) from the display matrix. */
static void readMatrix(const AVCodecParameters *parameters) {
  const AVPacketSideData *found = av_packet_side_data_get(
    parameters->coded_side_data, parameters->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX
  );
  if (!found || found->size < 9 * sizeof(int32_t)) return;
  int32_t matrix[9];
  memcpy(matrix, found->data, sizeof matrix);
  double area = (double)matrix[0] * matrix[4] - (double)matrix[1] * matrix[3];
  facts.isMirrored = area < 0;
  if (facts.isMirrored) matrix[0] = -matrix[0], matrix[1] = -matrix[1];
  double degrees = av_display_rotation_get(matrix);
  if (degrees == degrees) facts.rotation = ((int)(-degrees / 90 + 4.5) % 4) * 90;
}

static void readFacts(void) {
  const AVCodecParameters *parameters = track->codecpar;
  AVRational rate = av_guess_frame_rate(file, track, NULL);
  facts.duration = track->duration != AV_NOPTS_VALUE
    ? track->duration * av_q2d(track->time_base)
    : file->duration != AV_NOPTS_VALUE ? file->duration / (double)AV_TIME_BASE : NAN;
  facts.fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : NAN;
  facts.profile = avcodec_profile_name(parameters->codec_id, parameters->profile);
  if (parameters->color_space != AVCOL_SPC_UNSPECIFIED)
    facts.matrix = av_color_space_name(parameters->color_space);
  facts.range = parameters->color_range;
  facts.siting = parameters->chroma_location;
  readMatrix(parameters);
}

/** Returns the first video track; null if there is none. */
static AVStream *firstTrack(void) {
  for (unsigned i = 0; i < file->nb_streams; i++) {
    AVStream *stream = file->streams[i];
    if (stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO
        && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC))
      return stream;
  }
  return NULL;
}

static int findTracks(void) {
  AVDictionary *options[8] = {0};
  // The options are per stream. Streams that FFmpeg finds during this call do not get them.
  unsigned count = file->nb_streams;
  AVDictionary **all = count <= 8 ? options : NULL;
  for (unsigned i = 0; all && i < count; i++) av_dict_set(&options[i], "max_pixels", MAX_PIXELS, 0);
  int code = avformat_find_stream_info(file, all);
  for (int i = 0; i < 8; i++) av_dict_free(&options[i]);
  return code;
}

/**
 * Opens a file and the decoder of its first video track. Returns 0 or an error.
 * @param size of the file in bytes; -1: not seekable
 * @param isTolerant whether damage is counted and skipped
 */
int EXPORT(openFile)(const char *format, double size, int isTolerant) {
  const AVInputFormat *reader = av_find_input_format(format);
  if (!reader) return AVERROR_DEMUXER_NOT_FOUND;
  if (prepare() < 0 || !(file = avformat_alloc_context())) return AVERROR(ENOMEM);
  length = (int64_t)size;
  skipsDamage = isTolerant;
  file->pb = avio_alloc_context(av_malloc(BUFFER), BUFFER, 0, NULL, readBytes, NULL, seekBytes);
  if (!file->pb) return AVERROR(ENOMEM);
  file->pb->seekable = length < 0 ? 0 : AVIO_SEEKABLE_NORMAL;
  file->flags |= AVFMT_FLAG_CUSTOM_IO;
  int code = avformat_open_input(&file, "", reader, NULL);
  if (code >= 0) code = findTracks();
  if (code < 0) return code;
  track = firstTrack();
  if (!track) return AVERROR_STREAM_NOT_FOUND;
  for (unsigned i = 0; i < file->nb_streams; i++)
    if (file->streams[i] != track) file->streams[i]->discard = AVDISCARD_ALL;
  const AVCodec *codec = avcodec_find_decoder(track->codecpar->codec_id);
  facts.codec = avcodec_get_name(track->codecpar->codec_id);
  if (!codec) return AVERROR_DECODER_NOT_FOUND;
  if (!(context = avcodec_alloc_context3(codec))) return AVERROR(ENOMEM);
  code = avcodec_parameters_to_context(context, track->codecpar);
  if (code < 0) return code;
  context->pkt_timebase = track->time_base;
  context->framerate = av_guess_frame_rate(file, track, NULL);
  context->max_pixels = atoll(MAX_PIXELS);
  context->flags |= AV_CODEC_FLAG_UNALIGNED | AV_CODEC_FLAG_COPY_OPAQUE;
  readFacts();
  lastError[0] = 0;
  return avcodec_open2(context, codec, NULL);
}

/** Counts damage if it is skipped and returns 0; otherwise returns the error. */
static int damaged(int code) {
  if (!skipsDamage) return code;
  if (!lastError[0]) av_strerror(code, lastError, sizeof lastError);
  memcpy(damage, lastError, sizeof damage);
  moment.damage = damage;
  moment.damages++;
  return 0;
}

/**
 * Detects damage that a decoder conceals. FFmpeg then only logs an error. Returns 0 or an error.
 * @param code result of the call
 * @param before number of logged errors before the call
 */
static int checkLog(int code, int before) {
  return code >= 0 && errorCount != before ? damaged(AVERROR_INVALIDDATA) : code;
}

/** Stores the properties of the last picture for the host. */
static int showMoment(void) {
  int64_t ticks = frame->best_effort_timestamp;
  moment.time = ticks == AV_NOPTS_VALUE ? NAN : ticks * av_q2d(track->time_base);
  AVRational aspect = av_guess_sample_aspect_ratio(file, track, frame);
  moment.aspect = aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 0;
  show(0);
  return PICTURE;
}

/** Sends one packet of the file, or its end, to the decoder. Returns 0 or an error. */
static int feed(void) {
  lastError[0] = 0;
  int before = errorCount;
  reads++;
  int code = av_read_frame(file, packet);
  if (code == AVERROR(EAGAIN)) return 0;
  if (code < 0) {
    if (code != AVERROR_EOF && (code = damaged(code)) < 0) return code;
    return avcodec_send_packet(context, NULL);
  }
  code = 0;
  if (packet->stream_index == track->index) {
    packet->opaque = (void *)reads;
    if (packet->flags & AV_PKT_FLAG_CORRUPT) code = damaged(AVERROR_INVALIDDATA);
    if (code >= 0) code = avcodec_send_packet(context, packet);
    if (code < 0) code = damaged(code);
  }
  av_packet_unref(packet);
  return checkLog(code, before);
}

/** Decodes the next picture, which is valid until the next call. NEEDS_INPUT: call again. */
int EXPORT(nextPicture)(void) {
  int before = errorCount;
  int code = avcodec_receive_frame(context, frame);
  if (pendingError && (code < 0 || (intptr_t)frame->opaque >= reads)) return pendingError;
  if (code == AVERROR_EOF) return ENDED;
  if (code == AVERROR(EAGAIN)) {
    pendingError = feed();
    if (pendingError < 0) avcodec_send_packet(context, NULL);
    return NEEDS_INPUT;
  }
  if (code < 0) {
    code = damaged(code);
    return code < 0 ? code : NEEDS_INPUT;
  }
  if (frame->decode_error_flags || frame->flags & AV_FRAME_FLAG_CORRUPT)
    code = damaged(AVERROR_INVALIDDATA);
  else code = checkLog(code, before);
  if (code < 0) return code;
  return showMoment();
}
