// What the apps of the tests have in common: the same app in each framework, which shows the same for the same properties.

/** A view that shows a socket. */
export interface FeedProps {
  readonly id: string
  readonly url: string
  /** How many lines it shows. Default: that of `useMessages()`. */
  readonly limit?: number | undefined
}

export interface AppProps {
  readonly feeds: readonly FeedProps[]
}

/** An app in a page. */
export interface View {
  /** Shows other views. */
  update(props: AppProps): Promise<void>
  unmount(): Promise<void>
  /** Runs a job, and resolves when everything that it has changed is shown. */
  perform(job: () => unknown): Promise<void>
}

/** What the module of an app exports. */
export interface App {
  mount(target: Element, props: AppProps): Promise<View>
  /** Takes over what a server has rendered. */
  hydrate(target: Element, props: AppProps): Promise<View>
}

/** Counts how often a framework reads a value in order to show it, and returns the text of the value. */
export const rendered = (what: string, value: unknown): string => {
  const { renders } = globalThis as unknown as { renders?: Record<string, number> }
  if (renders) renders[what] = (renders[what] ?? 0) + 1
  return String(value)
}

export const count = (total: number): number => total + 1
