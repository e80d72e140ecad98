/**
 * FFmpeg's decoders as a WebAssembly module. It receives packets and returns planes of pixels. An
 * instance decodes one track. Its memory is freed with the instance. The host is
 * src/video/decoder/wasm.ts.
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
char lastError[256];
int errorCount;

/**
 * The last picture: pixel format, width, height and index of its packet; then address and stride of
 * each plane. The host reads this struct.
 */
static struct {
  const char *format;
  int32_t width, height, index;
  struct { const uint8_t *data; int32_t stride; } planes[3];
} picture;

/** Stores the text of an error that FFmpeg logs. */
static void logCallback(void *source, int level, const char *text, va_list args) {
  if (level > AV_LOG_ERROR) return;
  vsnprintf(lastError, sizeof lastError, text, args);
  lastError[strcspn(lastError, "\n")] = 0;
  errorCount++;
}

int prepare(void) {
  av_log_set_callback(logCallback);
  packet = av_packet_alloc();
  frame = av_frame_alloc();
  return packet && frame ? 0 : AVERROR(ENOMEM);
}

void *EXPORT(pictureAt)(void) { return &picture; }

/** Returns the text of the last logged error, or else the text of an error code. */
const char *EXPORT(reason)(int code) {
  if (!lastError[0]) av_strerror(code, lastError, sizeof lastError);
  return lastError;
}

/** Allocates memory for bytes from the host, and the padding of zeros that FFmpeg reads. */
uint8_t *EXPORT(room)(int size) {
  uint8_t *data = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
  return data;
}

/**
 * Opens a decoder. Returns 0 or an error.
 * @param header codec header of the container, allocated with `room`; the decoder frees it
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
  // Crops exactly, at the cost of unaligned planes.
  context->flags |= AV_CODEC_FLAG_UNALIGNED;
  return avcodec_open2(context, found, NULL);
}

/**
 * Sends a packet to the decoder. Call `receive` until it returns NEEDS_INPUT before the next one.
 * Returns 0 or an error.
 * @param data bytes of the packet; NULL at the end of the track
 * @param index identifies the packet; its picture gets the same number
 */
int EXPORT(send)(const uint8_t *data, int size, int index) {
  lastError[0] = 0;
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

/** Decodes the next picture, which is valid until the next call. Damaged pictures are errors. */
int EXPORT(receive)(void) {
  int code = avcodec_receive_frame(context, frame);
  if (code == AVERROR(EAGAIN)) return NEEDS_INPUT;
  if (code == AVERROR_EOF) return ENDED;
  if (code < 0) return code;
  if (frame->decode_error_flags || frame->flags & AV_FRAME_FLAG_CORRUPT) return AVERROR_INVALIDDATA;
  show((int32_t)frame->pts);
  return PICTURE;
}
