/** Handles files that are dropped anywhere on the page. */
export function onDrop(take: (files: File[], target: EventTarget | null) => void): void {
  addEventListener('dragover', (event) => {
    event.preventDefault()
    document.body.classList.add('dropping')
  })
  addEventListener(
    'dragleave',
    ({ relatedTarget }) => relatedTarget ?? document.body.classList.remove('dropping'),
  )
  addEventListener('drop', (event) => {
    event.preventDefault()
    document.body.classList.remove('dropping')
    take([...(event.dataTransfer?.files ?? [])], event.target)
  })
}
