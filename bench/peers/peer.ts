/** A stream in another runtime, with the same weights as ours. */
export interface Peer {
  /** Of the runtime. */
  readonly version: string
  /** The logits after the next frame, pixels [H, W, 3] 0..1. */
  advance(pixels: Float32Array): Promise<Float32Array>
}
