/** Tabs after the ARIA practices: arrow keys move between them. */

/** @param shown called with the id of the visible panel, also at once */
export class Tabs {
  readonly #tabs: readonly HTMLButtonElement[]
  readonly #shown: (panel: string) => void

  constructor(list: HTMLElement, shown: (panel: string) => void) {
    this.#tabs = [...list.querySelectorAll<HTMLButtonElement>('[role=tab]')]
    this.#shown = shown
    this.#tabs.forEach((tab, index) => {
      tab.onclick = () => this.open(panelOf(tab))
      tab.onkeydown = ({ key }) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[key]
        const count = this.#tabs.length
        const next =
          by !== undefined
            ? this.#tabs[(index + by + count) % count]!
            : { Home: this.#tabs[0], End: this.#tabs[count - 1] }[key]
        if (!next) return
        this.open(panelOf(next))
        next.focus()
      }
    })
  }

  /** @param panel id */
  open(panel: string): void {
    if (!this.#tabs.some((tab) => panelOf(tab) === panel)) return
    for (const tab of this.#tabs) {
      const isOpen = panelOf(tab) === panel
      tab.setAttribute('aria-selected', String(isOpen))
      tab.tabIndex = isOpen ? 0 : -1
      document.getElementById(panelOf(tab))!.hidden = !isOpen
    }
    this.#shown(panel)
  }
}

const panelOf = (tab: HTMLElement): string => tab.getAttribute('aria-controls')!
