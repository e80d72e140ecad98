/**
 * The bytes of the built-in model, a small TRecViT that names the camera's motion (ten classes):
 * `trecvit/motion`, a file of its own.
 */
import bytes from '../models/motion.safetensors'

const motion: Uint8Array = bytes
export default motion
