/** The actions with their recordings, and what was learnt of them. */
import type { Parameters } from 'trecvit/train'
import type { Confusion } from './head.ts'
import { type ActionView, FEWEST, type LearntView, LONGEST_NAME, MOST } from './messages.ts'
import type { Rows } from './windows.ts'

export interface Recording extends Rows {
  readonly id: number
  readonly seconds: number
  readonly picture: Blob
}

export interface Action {
  readonly id: number
  name: string
  recordings: Recording[]
}

export interface Learnt extends LearntView {
  readonly parameters: Parameters
}

/** A lesson as the browser keeps it. */
export interface KeptLesson {
  /** Of the encoder that the features are from. */
  readonly fingerprint: string
  readonly nextId: number
  readonly actions: readonly Action[]
  readonly learnt: Learnt | null
}

export class Lesson {
  actions: Action[] = []
  learnt: Learnt | null = null
  #nextId = 1

  constructor() {
    this.clear()
  }

  /** Begins with the fewest actions, without names. */
  clear(): void {
    this.actions = []
    this.learnt = null
    for (let count = 0; count < FEWEST; count++) this.add()
  }

  add(): void {
    if (this.actions.length < MOST)
      this.actions.push({ id: this.#nextId++, name: '', recordings: [] })
  }

  remove(id: number): void {
    this.actions = this.actions.filter((action) => action.id !== id)
    while (this.actions.length < FEWEST) this.add()
  }

  /** @throws Error if it was removed */
  find(id: number): Action {
    const found = this.actions.find((action) => action.id === id)
    if (!found) throw new Error('The action was removed')
    return found
  }

  rename(id: number, name: string): void {
    this.find(id).name = name.trim().slice(0, LONGEST_NAME)
  }

  record(id: number, recording: Omit<Recording, 'id'>): void {
    this.find(id).recordings.push({ ...recording, id: this.#nextId++ })
  }

  removeRecording(id: number, recording: number): void {
    const action = this.find(id)
    action.recordings = action.recordings.filter((one) => one.id !== recording)
  }

  /** Removes the recordings of all actions. Their names stay. */
  removeRecordings(): void {
    for (const action of this.actions) action.recordings = []
    this.learnt = null
  }

  /** Returns the actions that have recordings. */
  get recorded(): Action[] {
    return this.actions.filter(({ recordings }) => recordings.length > 0)
  }

  labelOf(id: number): string {
    const index = this.actions.findIndex((action) => action.id === id)
    return this.actions[index]?.name || `Action ${index + 1}`
  }

  /** @returns what hinders learning, or null */
  get hindrance(): string | null {
    const { recorded } = this
    if (recorded.length < FEWEST)
      return (
        `Learning expected recordings of ${FEWEST} actions, got ${recorded.length}; ` +
        'record more'
      )
    const labels = recorded.map(({ id }) => this.labelOf(id))
    const twice = labels.find((label, index) => labels.indexOf(label) < index)
    return twice === undefined ? null : `Two actions have the name "${twice}"; rename one of them`
  }

  get views(): ActionView[] {
    return this.actions.map(({ id, name, recordings }) => ({
      ...{ id, name, label: this.labelOf(id) },
      recordings: recordings.map(({ id, seconds, picture }) => ({ id, seconds, picture })),
    }))
  }

  keep(fingerprint: string): KeptLesson {
    return { fingerprint, nextId: this.#nextId, actions: this.actions, learnt: this.learnt }
  }

  recall({ nextId, actions, learnt }: KeptLesson): void {
    this.#nextId = nextId
    this.actions = [...actions]
    this.learnt = learnt
  }
}

/** Returns the held-out result as the page shows it. */
export function viewOf(actions: readonly number[], confusion: Confusion): LearntView {
  let [heldOut, right, most]: [number, number, number] = [0, 0, 0]
  let confused: [number, number] | null = null
  for (const [label, answers] of confusion.entries())
    for (const [answer, count] of answers.entries()) {
      heldOut += count
      if (answer === label) right += count
      else if (count > most) {
        most = count
        confused = [actions[label]!, actions[answer]!]
      }
    }
  return { actions, heldOut, right, confused }
}
