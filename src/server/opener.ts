import type { StoreNode } from './store.js'

/** Opens the store once for all callers, and again if opening has failed. */
export class StoreOpener {
  private readonly open: () => Promise<StoreNode>
  private opening: Promise<StoreNode> | undefined
  private isClosed = false

  constructor(open: () => Promise<StoreNode>) {
    this.open = open
  }

  /** Resolves with the open store. Rejects if it cannot be opened; the next call tries again. */
  readonly get = (): Promise<StoreNode> => {
    if (this.isClosed && !this.opening) return Promise.reject(new Error('the server is closed'))
    this.opening ??= this.tryToOpen()
    return this.opening
  }

  /** Prevents the store from being opened. If it is open, or still being opened, it is closed. */
  async close(): Promise<void> {
    this.isClosed = true
    const node = await this.opening?.catch(() => undefined)
    await node?.close()
  }

  private async tryToOpen(): Promise<StoreNode> {
    try {
      return await this.open()
    } catch (error) {
      this.opening = undefined
      throw error
    }
  }
}
