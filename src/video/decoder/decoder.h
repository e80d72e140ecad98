/** Declarations that decoder.c and reader.c share. */
#pragma once
#include <libavcodec/avcodec.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

/** Results of `receive` and `nextPicture`. Negative results are error codes of FFmpeg. */
enum { PICTURE, NEEDS_INPUT, ENDED };

/** The decoder of the one track. */
extern AVCodecContext *context;
extern AVPacket *packet;
extern AVFrame *frame;

/** Text of the last error that FFmpeg logged, and the number of logged errors. */
extern char lastError[256];
extern int errorCount;

/** Allocates packet and frame, and sets the log callback. Returns 0 or an error. */
int prepare(void);

/** Copies the properties of `frame` for the host. `index` identifies its packet. */
void show(int32_t index);
