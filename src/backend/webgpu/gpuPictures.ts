/** Reads pictures of a page on the GPU. It is imported on demand. */
import shader from '../../../gpu/pictures/resize.wgsl'
import { messageOf, TrecvitError } from '../../base/error.ts'
import type { Backend, Crop, GpuPixels, PictureReader, PixelsSize } from '../backend.ts'
import type { Resources } from './resources.ts'
import {
  COPY_DST,
  COPY_SRC,
  RENDER_ATTACHMENT,
  STORAGE,
  TEXTURE_BINDING,
  TEXTURE_COPY_DST,
  UNIFORM,
} from './usage.ts'

/** Pixels of a workgroup. */
const GROUP = 4 * 64

/** What pictures of one size share. */
interface Source {
  readonly crop: Crop
  readonly texture: GPUTexture
  readonly params: GPUBuffer
}

/** Copies pictures to a texture and computes the pixels of a model from it. */
export class GpuPictures implements PictureReader {
  readonly maxSide: number
  readonly #owner: Backend
  readonly #device: GPUDevice
  readonly #submits: Resources['submits']
  readonly #size: PixelsSize
  readonly #pipeline: GPUComputePipeline
  #source: Source | undefined

  private constructor(
    owner: Backend,
    { device, submits }: Pick<Resources, 'device' | 'submits'>,
    size: PixelsSize,
    pipeline: GPUComputePipeline,
  ) {
    this.maxSide = device.limits.maxTextureDimension2D
    this.#owner = owner
    this.#device = device
    this.#submits = submits
    this.#size = size
    this.#pipeline = pipeline
  }

  /**
   * @param size of the pixels
   * @throws TrecvitError if the device refuses the kernel or is lost
   */
  static async open(
    owner: Backend,
    resources: Pick<Resources, 'device' | 'submits'>,
    size: PixelsSize,
  ): Promise<GpuPictures> {
    const { device } = resources
    const module = device.createShaderModule({ label: 'resize', code: shader })
    const pipeline = await device
      .createComputePipelineAsync({
        label: 'resize',
        layout: 'auto',
        compute: { module, entryPoint: 'resize' },
      })
      .catch((cause) => {
        throw new TrecvitError(
          owner.lossReason === null
            ? `The GPU cannot read pictures (${messageOf(cause)}); leave out "pixels"`
            : `The GPU was lost (${messageOf(cause)}); push the frame again`,
          { cause },
        )
      })
    return new GpuPictures(owner, resources, size, pipeline)
  }

  read(picture: object, crop: Crop): GpuPixels {
    let refused: Promise<GPUError | null>
    let buffer: GPUBuffer
    this.#device.pushErrorScope('validation')
    try {
      buffer = this.#resize(picture as GPUCopyExternalImageSource, crop)
    } finally {
      refused = this.#device.popErrorScope()
    }
    const bytes = this.#copyOf(buffer, refused)
    // A frame may be removed from the queue. Then nothing awaits its copy.
    bytes.catch(() => {})
    return {
      owner: this.#owner,
      buffer,
      byteLength: buffer.size,
      bytes,
      free: () =>
        void bytes.then(
          () => buffer.destroy(),
          () => buffer.destroy(),
        ),
    }
  }

  /** Returns a buffer that will contain the pixels. */
  #resize(picture: GPUCopyExternalImageSource, crop: Crop): GPUBuffer {
    const { height, width } = this.#size
    const { texture, params } = this.#sourceOf(crop)
    this.#device.queue.copyExternalImageToTexture({ source: picture }, { texture }, [
      crop.columns,
      crop.rows,
    ])
    const groups = Math.ceil((height * width) / GROUP)
    const buffer = this.#device.createBuffer({
      label: 'resized',
      size: 3 * GROUP * groups,
      usage: STORAGE | COPY_SRC,
    })
    const encoder = this.#device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(this.#pipeline)
    pass.setBindGroup(
      0,
      this.#device.createBindGroup({
        layout: this.#pipeline.getBindGroupLayout(0),
        entries: [{ buffer: params }, texture.createView(), { buffer }].map(
          (resource, binding) => ({ binding, resource }),
        ),
      }),
    )
    pass.dispatchWorkgroups(groups)
    pass.end()
    this.#device.queue.submit([encoder.finish()])
    return buffer
  }

  /** Returns the texture and the parameters of the latest picture, or new ones for another size. */
  #sourceOf(crop: Crop): Source {
    if (JSON.stringify(this.#source?.crop) === JSON.stringify(crop)) return this.#source!
    this.#source?.texture.destroy()
    this.#source?.params.destroy()
    const { columns, rows, scaleX, scaleY, left, top } = crop
    const { height, width } = this.#size
    const texture = this.#device.createTexture({
      label: 'picture',
      size: [columns, rows],
      format: 'rgba8unorm',
      // copyExternalImageToTexture requires the last one.
      usage: TEXTURE_BINDING | TEXTURE_COPY_DST | RENDER_ATTACHMENT,
    })
    const params = this.#device.createBuffer({ label: 'crop', size: 32, usage: UNIFORM | COPY_DST })
    const integers = Uint32Array.of(columns, rows, 0, 0, 0, 0, width, height * width)
    new Float32Array(integers.buffer).set([scaleX, scaleY, left, top], 2)
    this.#device.queue.writeBuffer(params, 0, integers)
    return (this.#source = { crop, texture, params })
  }

  async #copyOf(buffer: GPUBuffer, refused: Promise<GPUError | null>): Promise<Uint8Array> {
    const { height, width } = this.#size
    const bytes = 4 * Math.ceil((3 * height * width) / 4)
    const [[copy], error] = await Promise.all([
      this.#submits.run([{ buffer, offset: 0, bytes }], () => {}),
      refused,
    ]).catch((cause) => {
      throw new TrecvitError(
        'The GPU was lost before the pixels of a frame could be copied from it ' +
          `(${messageOf(cause)}); push the frame again`,
        { cause },
      )
    })
    if (error) {
      // Its texture may be what does not fit into memory.
      this.#source = undefined
      throw new TrecvitError(`The GPU refused a picture (${error.message})`)
    }
    return new Uint8Array(copy!, 0, 3 * height * width)
  }
}
