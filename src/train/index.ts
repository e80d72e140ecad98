/**
 * What training computes with: the recorder and the backends with its operations.
 * @module trecvit/train
 */
export { openTrainingCpu } from './cpu.ts'
export { openTrainingGpu } from './gpu.ts'
export { TrainingRecorder } from './recorder.ts'
