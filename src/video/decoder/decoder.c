/**
 * FFmpeg's decoders as a WebAssembly module: packets in, planes out. One instance decodes one
 * track, and its memory is freed with it. The other side is src/video/decoder/wasm.ts.
 */
#include "decoder.h"
#include <libavutil/log.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

AVCodecContext *context;
AVPacket *packet;
AVFrame *frame;
char complaint[256];
int complaints;

/**
 * The last picture: pixel format, width, height, index, then address and stride of each plane.
 */
static struct {
  const char *format;
  int32_t width, height, index;
  struct { const uint8_t *data; int32_t stride; } planes[3];
} picture;

static void keep(void *source, int level, const char *text, va_list args) {
  if (level > AV_LOG_ERROR) return;
  vsnprintf(complaint, sizeof complaint, text, args);
  complaint[strcspn(complaint, "\n")] = 0;
  complaints++;
}

int prepare(void) {
  av_log_set_callback(keep);
  packet = av_packet_alloc();
  frame = av_frame_alloc();
  return packet && frame ? 0 : AVERROR(ENOMEM);
}

void *EXPORT(pictureAt)(void) { return &picture; }

/** In words why a call gave a number below zero. */
const char *EXPORT(reason)(int code) {
  if (!complaint[0]) av_strerror(code, complaint, sizeof complaint);
  return complaint;
}

/** Room for bytes from the host, with the zeros behind them that FFmpeg reads. */
uint8_t *EXPORT(room)(int size) {
  uint8_t *data = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
  return data;
}

/**
 * Begins; `header` is of the container, from `room`, and belongs to the decoder. 0, or below zero.
 */
int EXPORT(start)(const char *codec, uint8_t *header, int size, int width, int height) {
  const AVCodec *found = avcodec_find_decoder_by_name(codec);
  if (!found) return AVERROR_DECODER_NOT_FOUND;
  context = avcodec_alloc_context3(found);
  if (!context || prepare() < 0) return AVERROR(ENOMEM);
  context->extradata = header;
  context->extradata_size = size;
  context->width = width;
  context->height = height;
  // Crops exactly, and stops at damage instead of painting over it.
  context->flags |= AV_CODEC_FLAG_UNALIGNED;
  return avcodec_open2(context, found, NULL);
}

/** One packet, or the end without one; then `receive` until it is hungry. 0, or below zero. */
int EXPORT(send)(const uint8_t *data, int size, int index) {
  complaint[0] = 0;
  if (!data) return avcodec_send_packet(context, NULL);
  packet->data = (uint8_t *)data;
  packet->size = size;
  packet->pts = index;
  return avcodec_send_packet(context, packet);
}

void show(int32_t index) {
  picture.format = av_get_pix_fmt_name(frame->format);
  picture.width = frame->width;
  picture.height = frame->height;
  picture.index = index;
  for (int i = 0; i < 3; i++) {
    picture.planes[i].data = frame->data[i];
    picture.planes[i].stride = frame->linesize[i];
  }
}

/** The next picture, which stays until the next call. */
int EXPORT(receive)(void) {
  int code = avcodec_receive_frame(context, frame);
  if (code == AVERROR(EAGAIN)) return HUNGRY;
  if (code == AVERROR_EOF) return ENDED;
  if (code < 0) return code;
  if (frame->decode_error_flags || frame->flags & AV_FRAME_FLAG_CORRUPT) return AVERROR_INVALIDDATA;
  show((int32_t)frame->pts);
  return PICTURE;
}
