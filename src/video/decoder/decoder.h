/** Declarations that decoder.c and reader.c share. */
#pragma once
#include <libavcodec/avcodec.h>

#define EXPORT(name) __attribute__((export_name(#name))) name

/** Results of `receive` and `nextPicture`. Negative results are errors of FFmpeg. */
enum { PICTURE, HUNGRY, ENDED };

/** The decoder of the one track. */
extern AVCodecContext *context;
extern AVPacket *packet;
extern AVFrame *frame;

/** The last error that FFmpeg logged, and the number of errors. */
extern char complaint[256];
extern int complaints;

/** Allocates packet and frame, and sets the log callback. Returns 0 or an error. */
int prepare(void);

/** Describes the frame to the host. `index` identifies its packet. */
void show(int32_t index);
