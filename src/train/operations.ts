import { addOperations } from '../program/describe.ts'
import * as operations from '../program/ops/train/index.ts'
import type { Op } from '../program/program.ts'

/** Names of the operations of training, in order. Importing this file makes them known. */
export const TRAINING_OPS: readonly Op[] = addOperations(operations)
