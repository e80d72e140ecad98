/**
 * The bytes of the built-in model, a small TRecViT that names the camera's motion (ten classes):
 * `trecvit/motion`, a file of its own.
 * @module trecvit/motion
 * @example
 * import motion from 'trecvit/motion'
 * const model = await TRecViT.load(motion)
 */
import bytes from '../models/motion.safetensors'

/** A .safetensors file of 0.8 MB, for `TRecViT.load` where nothing can be imported on demand. */
const motion: Uint8Array = bytes
export default motion
