// The videos of a batch. A state buffer has many slots, [slots, ..]: each video has one. So streams
// that began at different times run in one batch.

struct Video {
  /** Slot of its state. */
  slot: u32,
  /** Frames since the reset, before this chunk. */
  frame: u32,
  /** Frames of the window (an integer), or half-life in frames. */
  averageFrames: f32,
}

@group(1) @binding(0) var<storage, read> videos: array<Video>;
