/**
 * The panel that offers Kinetics-400: what it is, its size and its speed here. Nothing is fetched
 * before the user agrees.
 */
import type { Offer, Origin, Reply, Request } from './messages.ts'
import { element, showMessage } from './text.ts'
import { megabytes } from './words.ts'

/** Below this number of frames per second, the page warns that playback is slow. */
const LIVE = 10

const PLACES: Readonly<Record<Offer['where'], string>> = {
  browser: 'none: it is in the storage of this browser',
  server: 'from this server, which has it in its cache',
  host: 'from storage.googleapis.com, once; it stays in this browser',
}

export class Kinetics {
  readonly #send: (request: Request) => void
  readonly #start = element<HTMLButtonElement>('kineticsStart')
  #offer: Offer | undefined
  #isUsed = false
  /** Id of the visible part; null while loading. */
  #part: string | null = 'kineticsOffer'

  constructor(send: (request: Request) => void) {
    this.#send = send
    element('kineticsOpen').onclick = () => this.open()
    element('kineticsBack').onclick = () => this.#show('kineticsOffer')
    element('kineticsAgain').onclick = () => this.open()
    element('kineticsRemove').onclick = () => {
      send({ type: 'remove' })
      showMessage('The weights of Kinetics-400 were removed from this browser.')
    }
    element('kineticsLeave').onclick = () => this.#use({ kind: 'builtin', labels: null })
    this.#start.onclick = () => {
      const url = this.#offer?.url ?? null
      this.#use({ kind: 'kinetics', url, labels: null })
      this.#show(null)
    }
  }

  /** Shows size and speed before the download. */
  open(): void {
    if (this.#isUsed) return
    this.#start.disabled = true
    element('kineticsSpeed').textContent = 'being measured …'
    this.#show('kineticsTerms')
    this.#send({ type: 'offer' })
  }

  showOffer({ offer }: Extract<Reply, { type: 'offer' }>): void {
    this.#offer = offer
    const size = megabytes(offer.bytes)
    element('kineticsSize').textContent =
      offer.where === 'browser' ? PLACES.browser : `${size}, ${PLACES[offer.where]}`
    this.#start.textContent = offer.where === 'browser' ? 'Use it' : `Download ${size}`
    this.#start.disabled = false
    element('kineticsRemove').hidden = offer.where !== 'browser'
  }

  showEstimate({ rate }: Extract<Reply, { type: 'estimate' }>): void {
    if (rate === null) {
      element('kineticsSpeed').textContent = 'it could not be measured'
      return
    }
    const digits = rate < LIVE ? (rate < 1 ? 2 : 1) : 0
    element('kineticsSpeed').textContent =
      `about ${rate.toFixed(digits)} frames a second, estimated from one of its 12 layers` +
      `${rate < LIVE ? '; video plays in slow motion' : ''}`
  }

  /** Called when another model is loaded. */
  showModel(kind: Origin['kind']): void {
    this.#isUsed = kind === 'kinetics'
    if (this.#isUsed) this.#show('kineticsUsed')
    // While weights are being loaded, that part stays visible.
    else if (this.#part === null || this.#part === 'kineticsUsed') this.#show('kineticsOffer')
  }

  /** Shows that the download failed, and the alternatives. */
  showRefused({ text }: Extract<Reply, { type: 'refused' }>): void {
    element('kineticsWhy').textContent = `${text}.`
    this.#show('kineticsRefused')
  }

  /** Called when loading was cancelled. */
  reset(): void {
    this.showModel(this.#isUsed ? 'kinetics' : 'builtin')
  }

  #use(origin: Origin): void {
    this.#send({ type: 'model', origin, keep: false })
  }

  #show(part: string | null): void {
    this.#part = part
    for (const one of document.querySelectorAll<HTMLElement>('#kinetics > div'))
      one.hidden = one.id !== part
    element('kinetics').hidden = part === null
  }
}
