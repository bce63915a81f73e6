/** How to listen. The names and their meaning are the DOM's. */
export interface ListenOptions {
  /** Hear one piece of news, then leave. Default: false. */
  once?: boolean
  /** Leave when this signal is aborted. An aborted one never joins. Default: none. */
  signal?: AbortSignal
}

/** What is called with the news. What it returns is ignored; what it throws is reported, and harms nobody else. */
export type Listener<Payload> = (payload: Payload) => unknown

export interface Emitter<Events> {
  on<Type extends keyof Events>(
    type: Type,
    listener: Listener<Events[Type]>,
    options?: ListenOptions,
  ): () => void
  off<Type extends keyof Events>(type: Type, listener: Listener<Events[Type]>): void
  /** Tells all listeners, at once, or after the news that is being told. */
  emit<Type extends keyof Events>(type: Type, payload: Events[Type]): void
  /** Runs a job at once, or, when called by a listener, after all have heard all news. */
  post(job: () => void): void
}

interface Subscription {
  /** Gone once removed: who was removed by an earlier listener does not hear the present news any more. */
  listener: Listener<any> | undefined
  once: boolean | undefined
  signal: AbortSignal | undefined
  leave: () => void
}

// https://html.spec.whatwg.org/multipage/webappapis.html#report-the-exception
const report = (error: unknown): void => {
  if (typeof reportError === 'function') reportError(error)
  else
    queueMicrotask(() => {
      throw error
    })
}

/** Calls a function that is not ours: what it throws is reported, and stops nothing. */
export const guard = <In, Out>(job: (payload: In) => Out, payload?: In): Out | undefined => {
  try {
    return job(payload as In)
  } catch (error) {
    report(error)
    return undefined
  }
}

/** An emitter for the event types that `lists` names. All listeners hear one story: one piece of news after another. */
export const createEmitter = <Events>(lists: Record<keyof Events, Subscription[]>): Emitter<Events> => {
  let news: (() => void)[] = []
  let jobs: (() => void)[] = []
  let telling = false

  const off = (type: keyof Events, listener: Listener<any>) => {
    lists[type] = lists[type].filter(subscription => {
      if (subscription.listener !== listener) return true
      subscription.listener = undefined
      subscription.signal?.removeEventListener('abort', subscription.leave)
      return false
    })
  }

  // The list is never changed, only replaced: what is being walked here stays as it was.
  const tell = (type: keyof Events, payload: any) => {
    const list = lists[type]
    for (let i = 0; i < list.length; i++) {
      const { listener, once } = list[i] as Subscription
      if (!listener) continue
      if (once) off(type, listener)
      guard(listener, payload)
    }
  }

  /** Tells what came up meanwhile, then runs the jobs, each with the news of it. The walks meet what is added to them. */
  const settle = () => {
    telling = true
    for (let i = 0; i <= jobs.length; i++) {
      if (news.length) {
        for (const piece of news) piece()
        news = []
      }
      if (i < jobs.length) guard(jobs[i] as () => void)
    }
    if (jobs.length) jobs = []
    telling = false
  }

  return {
    on(type, listener, { once, signal } = {}) {
      if (!lists[type] || typeof listener !== 'function') {
        throw new TypeError(`on('${String(type)}') needs an event of ${Object.keys(lists)} and a function`)
      }
      const leave = () => off(type, listener)
      if (!signal?.aborted && !lists[type].some(other => other.listener === listener)) {
        signal?.addEventListener('abort', leave)
        lists[type] = [...lists[type], { listener, once, signal, leave }]
      }
      return leave
    },
    off,
    emit(type, payload) {
      // Bound, for a closure here would cost every message an object, told at once or not.
      if (telling) news.push(tell.bind(undefined, type, payload))
      else {
        telling = true
        tell(type, payload)
        settle()
      }
    },
    post(job) {
      jobs.push(job)
      if (!telling) settle()
    },
  }
}
