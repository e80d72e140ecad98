/** A stream in another runtime, with our weights. */
export interface Peer {
  /** Version of the runtime. */
  readonly version: string
  /** Returns the logits after the next frame, pixels [H, W, 3] 0..1. */
  advance(pixels: Float32Array): Promise<Float32Array>
}
