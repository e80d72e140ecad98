import type { State, Tensor } from '../tensor.ts'

/** What a step reads and writes: tensors, weights and states by name, and its parameters. */
export interface Parts {
  readonly inputs: object
  /** Names of the outputs, by default one `out`. */
  readonly outputs?: object
  readonly weights?: object
  readonly states?: object
  readonly params?: object
}

/** A step of a program whose operation has these parts. */
export interface StepWith<P extends Parts> {
  /** Where in the model, in the official parameter names; the label in traces and profiles. */
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
 * The numbers of a step by name: its axes, parameters that are numbers, and of the first output
 * [b, t, tokens, ..] `frames` b·t, `tokens`, `rows` and `count`, its elements. `frameRows` are the
 * rows after which an input may go on at its next frame: all rows, unless an input has a frame
 * stride.
 */
export type Sizes = Readonly<Record<string, number>>

/** The threads that share a step, and whether the build has tiles of two panels. */
export interface Cpu {
  readonly threads: number
  readonly wide: boolean
}

/** Workgroups in x, y and z. */
export type Groups = readonly [x: number, y: number, z: number]

/** Ends a recording with an error that names the operation and the step. */
export type Fail = (expected: string) => never

/**
 * The description of an operation. The types of its steps, the method of the recorder, its entry in
 * the WebAssembly table, the `Args` class in AssemblyScript, `struct Params` in WGSL and its part
 * of docs/operations.md follow from it.
 *
 * Axes are sizes or their products, as `b t n 2·e`. A letter has one value in a step: the first
 * tensor that has it sets it, and others must agree. Two axes are rows, all axes but the last, and
 * columns. A `?` at the end says that the tensor is optional.
 *
 * The method takes a name, then the inputs, weights and `params` that are not optional, in this
 * order, then an object with the others. It returns the output `out`, or all outputs by name.
 *
 * Kernels get these numbers: `Args` outputs, inputs, weights, states, `fields`, those of `cpu`;
 * `Params` `count`, `fields`, those of `gpu`, outputs, inputs. Of outputs and of inputs there are
 * address or offset, and stride; of inputs also the stride of frames.
 */
export interface Operation<P extends Parts, _Args extends unknown[]> {
  /** Axes of each input. */
  readonly inputs: AxesOf<P['inputs']>
  /** Axes of each weight: [columns], [rows, columns] or [blocks, rows, columns]. */
  readonly weights?: Partial<AxesOf<P extends { weights: infer W } ? W : None>>
  readonly states?: AxesOf<P extends { states: infer S } ? S : None>
  /** Parameters of the method, in order; others come in its last object. */
  readonly params?: readonly string[]
  /** Axes of each output. */
  readonly outputs: AxesOf<OutputsOf<P>>
  /** Fills in parameters that were not given. */
  complete?(given: Partial<Params<P>>, sizes: Sizes): Params<P>
  /** Further sizes. Ends the recording if something does not fit. */
  sizes?(sizes: Sizes, step: Omit<StepWith<P>, 'outputs'>, fail: Fail): Sizes
  /** What kind of state a step with these parameters has. */
  kind?(params: Params<P>): Pick<State, 'ring' | 'sum'>
  /** Numbers that both kernels get. */
  readonly fields: readonly string[]
  /** Floating-point operations: a multiply and an add are two, other work is not counted. */
  flops?(sizes: Sizes): number
  readonly cpu?: {
    /** Numbers that this kernel gets besides. */
    readonly fields?: readonly string[]
    /** Addresses that this kernel gets besides, before `fields`. */
    readonly pointers?: readonly string[]
    /** What its kernel is called with before `begin`: expressions in scripts/assembly.ts. */
    readonly also?: string
    /** Units of work, which threads share, by default `rows`; and fields that depend on threads. */
    units?(sizes: Sizes, cpu: Cpu): number | Sizes
    /** Bytes of working memory for each thread, which its kernel is called with. */
    scratch?(sizes: Sizes): number
  }
  readonly gpu?: {
    /** Numbers that this kernel gets besides. */
    readonly fields?: readonly string[]
    /** Workgroups, by default one of 64 invocations for 64 of `count`. */
    groups?(sizes: Sizes): Groups
    /**
     * `override` constants.
     * @param room bytes of workgroup memory of the device
     */
    constants?(step: StepWith<P>, room: number): Readonly<Record<string, boolean | number>>
    /** Entry point, by default `main`. */
    entry?(sizes: Sizes): 'main' | 'few'
  }
}

type Params<P> = P extends { params: infer A } ? A : None
type AxesOf<T> = { readonly [K in keyof T]-?: string }
