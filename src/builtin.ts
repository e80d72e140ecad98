/**
 * The built-in model: a small TRecViT that names the camera's motion (ten classes). It is part of the code, in a chunk of its own, so that it
 * is there in every bundle, under every policy and without a network.
 */
export async function openBuiltin(): Promise<Blob> {
  const { default: bytes } = await import('../models/motion.safetensors')
  return new File([bytes as BlobPart], 'motion.safetensors')
}
