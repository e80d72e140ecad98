/** Keeps the lesson and its encoder in the storage of the browser: IndexedDB. */

const STORE = 'lesson'

let database: Promise<IDBDatabase> | undefined

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('trecvit-teach', 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  return database
}

async function run<T>(
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const transaction = (await open()).transaction(STORE, mode)
  const request = work(transaction.objectStore(STORE))
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result)
    transaction.onerror = transaction.onabort = () => reject(transaction.error)
  })
}

/** Returns a kept value, or undefined. */
export const recall = <T>(key: string): Promise<T | undefined> =>
  run('readonly', (store) => store.get(key))

/** Keeps a value. It replaces the one before. */
export const keep = (key: string, value: unknown): Promise<unknown> =>
  run('readwrite', (store) => store.put(value, key))

export const forgetAll = (): Promise<unknown> => run('readwrite', (store) => store.clear())
