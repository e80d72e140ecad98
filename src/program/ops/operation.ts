import type { State, Tensor } from '../tensor.ts'

/** Tensors, weights, states and parameters of a step, by name. */
export interface Parts {
  readonly inputs: object
  /** Names of the outputs. By default a single `out`. */
  readonly outputs?: object
  readonly weights?: object
  readonly states?: object
  readonly params?: object
}

/** A step of a program. P are the parts of its operation. */
export interface StepWith<P extends Parts> {
  /** Place in the model, in the official parameter names. Label in traces and profiles. */
  readonly name: string
  readonly outputs: OutputsOf<P>
  readonly inputs: P['inputs']
  readonly weights: P extends { weights: infer W } ? W : None
  readonly states: P extends { states: infer S } ? S : None
  readonly params: P extends { params: infer A } ? A : None
  readonly sizes: Sizes
}

type None = Readonly<Record<never, never>>

/** The tensors that a step writes, by name. */
export type OutputsOf<P> = P extends { outputs: infer O } ? O : { readonly out: Tensor }

/**
 * Sizes of a step by name: the axis letters, the parameters that are numbers, and sizes of the
 * first output [b, t, tokens, ..]: `frames` = b·t, `tokens`, `rows`, and `count` (its elements).
 * `frameRows` is the number of rows after which an input continues at its next frame: all rows,
 * unless an input has a frame stride. `streams` is the number of streams of the batch.
 */
export type Sizes = Readonly<Record<string, number>>

/** Number of threads that share a step. `wide`: the build has tiles of two panels. */
export interface Cpu {
  readonly threads: number
  readonly wide: boolean
}

/** Number of workgroups in x, y and z. */
export type Groups = readonly [x: number, y: number, z: number]

/** Ends the recording with an error that names the operation and the step. */
export type Fail = (expected: string) => never

/**
 * Description of an operation. These follow from it: the types of its steps, the method of the
 * recorder, the entry in the WebAssembly table, the `Args` class in AssemblyScript, `struct Params`
 * in WGSL, and the section in docs/operations.md. A new operation has five files: its description,
 * its kernels assembly/<op>.ts and gpu/<op>.wgsl, its formula in test/reference.ts, and
 * test/<op>.test.ts.
 *
 * Axes are sizes or products of sizes, as in `b t n 2·e`. A letter has one value per step: the
 * first tensor with this letter sets it, and all others must agree. Two axes mean rows (all axes
 * but the last, flattened) and columns. A `?` at the end marks an optional tensor.
 *
 * The method takes a name, then the required inputs, weights and `params` in this order, then an
 * object with the optional ones. It returns the output `out`, or else all outputs by name.
 *
 * Arguments of kernels are 32-bit integers; there are no floating-point arguments. Order in `Args`:
 * outputs, inputs, weights, states, `fields`, `cpu.pointers`, `cpu.fields`. Order in `Params`:
 * `count`, `fields`, `gpu.fields`, outputs, inputs. An output is an address (in `Params` an offset)
 * and a row stride. An input also has a frame stride.
 */
export interface Operation<P extends Parts, _Args extends unknown[]> {
  /** Axes of each input. */
  readonly inputs: AxesOf<P['inputs']>
  /** Axes of each weight: [columns], [rows, columns] or [blocks, rows, columns]. */
  readonly weights?: Partial<AxesOf<P extends { weights: infer W } ? W : None>>
  /** Weights that the step changes in place; a GPU binds them read_write. */
  readonly writes?: readonly string[]
  readonly states?: AxesOf<P extends { states: infer S } ? S : None>
  /** Names of the positional parameters, in order. Others are members of the last object. */
  readonly params?: readonly string[]
  /** Axes of each output. */
  readonly outputs: AxesOf<OutputsOf<P>>
  /** Fills in the defaults of parameters. */
  complete?(given: Partial<Params<P>>, sizes: Sizes): Params<P>
  /** Returns further sizes. Ends the recording if an argument does not fit. */
  sizes?(sizes: Sizes, step: Omit<StepWith<P>, 'outputs'>, fail: Fail): Sizes
  /** Kind of the state of a step with these parameters. */
  kind?(params: Params<P>): Pick<State, 'ring' | 'sum'>
  /** Names of the sizes that both kernels receive. All are integers. */
  readonly fields: readonly string[]
  /** Floating-point operations. A multiply and an add count as two. Other work is not counted. */
  flops?(sizes: Sizes): number
  readonly cpu?: {
    /** Names of further sizes that only this kernel receives. */
    readonly fields?: readonly string[]
    /** Names of further addresses, before `fields`. */
    readonly pointers?: readonly string[]
    /**
     * Further arguments of the kernel function, before `begin` and `end`: AssemblyScript
     * expressions, which scripts/assembly.ts copies into the call. Example: `frame == 0`.
     */
    readonly also?: string
    /**
     * Units of work, which the threads share; `rows` by default. May also return the `fields` that
     * depend on the number of threads.
     */
    units?(sizes: Sizes, cpu: Cpu): number | Sizes
    /** Bytes of working memory per thread. The kernel receives its address as `scratch`. */
    scratch?(sizes: Sizes): number
  }
  readonly gpu?: {
    /** Names of further sizes that only this kernel receives. */
    readonly fields?: readonly string[]
    /** Workgroups. By default one workgroup of 64 invocations per 64 elements of `count`. */
    groups?(sizes: Sizes): Groups
    /**
     * `override` constants.
     * @param room bytes of workgroup memory of the device
     */
    constants?(step: StepWith<P>, room: number): Readonly<Record<string, boolean | number>>
    /** Entry point; `main` by default. */
    entry?(sizes: Sizes): 'main' | 'few'
  }
}

type Params<P> = P extends { params: infer A } ? A : None
type AxesOf<T> = { readonly [K in keyof T]-?: string }
