// Counts and times, as text for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/

/** Upper bounds of the buckets, in seconds. */
const BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60]

type CounterName = 'refused' | 'ended' | 'closed' | 'limited' | 'requests' | 'store_errors'

/** The counters, what they count, and their labels. */
const COUNTERS: Readonly<Record<CounterName, readonly [help: string, ...labels: string[]]>> = {
  refused: ['Connections that were refused.', 'reason'],
  ended: ['Sessions that have ended.', 'reason'],
  closed: ['Connections of sessions that have ended.', 'code'],
  limited: ['Clients that sent more than a rate allows.', 'who', 'step'],
  requests: ['Requests of clients.', 'type', 'outcome'],
  store_errors: ['Operations of the session store that failed.', 'operation'],
}

type HistogramName = 'handler' | 'store'

/** The histograms, what they measure, and their label. */
const HISTOGRAMS: Readonly<Record<HistogramName, readonly [help: string, label: string]>> = {
  handler: ['How long functions of the application took.', 'handler'],
  store: ['How long operations of the session store took.', 'operation'],
}

/** A value that is read when it is asked for. */
export interface Sample {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly value: number
}

interface Histogram {
  readonly buckets: number[]
  sum: number
  count: number
}

const escapeLabel = (value: string): string =>
  value.replace(/[\\"\n]/g, char => (char === '\n' ? '\\n' : `\\${char}`))

const labelled = (names: readonly string[], values: readonly string[]): string =>
  names.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join()

/** The counts and times of a node. */
export class Metrics {
  /** By name, and by the values of the labels. Without a key made of them, which would cost more than the rest. */
  private readonly counters = new Map<CounterName, Map<string, Map<string, number>>>()
  private readonly histograms = new Map<HistogramName, Map<string, Histogram>>()

  /** Counts one more. The values must come from a small set, because each is kept. */
  count(name: CounterName, first: string, second = ''): void {
    let all = this.counters.get(name)
    if (!all) {
      all = new Map()
      this.counters.set(name, all)
    }
    let counter = all.get(first)
    if (!counter) {
      counter = new Map()
      all.set(first, counter)
    }
    counter.set(second, (counter.get(second) ?? 0) + 1)
  }

  /** Records a duration in milliseconds. */
  observe(name: HistogramName, value: string, ms: number): void {
    let all = this.histograms.get(name)
    if (!all) {
      all = new Map()
      this.histograms.set(name, all)
    }
    let histogram = all.get(value)
    if (!histogram) {
      histogram = { buckets: BUCKETS.map(() => 0), sum: 0, count: 0 }
      all.set(value, histogram)
    }
    const seconds = ms / 1_000
    histogram.sum += seconds
    histogram.count++
    for (let i = 0; i < BUCKETS.length; i++) {
      if (seconds > (BUCKETS[i] as number)) continue
      ;(histogram.buckets[i] as number)++
      return
    }
  }

  /** Everything as text, with further samples. */
  text(samples: readonly Sample[]): string {
    const lines: string[] = []
    const begin = (name: string, type: string, help: string) =>
      lines.push(`# HELP steadysocket_${name} ${help}`, `# TYPE steadysocket_${name} ${type}`)
    for (const { name, type, help, value } of samples) {
      begin(name, type, help)
      lines.push(`steadysocket_${name} ${value}`)
    }
    for (const [name, [help, ...labels]] of Object.entries(COUNTERS)) {
      begin(`${name}_total`, 'counter', help)
      for (const [first, counter] of this.counters.get(name as CounterName) ?? [])
        for (const [second, value] of counter)
          lines.push(`steadysocket_${name}_total{${labelled(labels, [first, second])}} ${value}`)
    }
    for (const [name, [help, label]] of Object.entries(HISTOGRAMS)) {
      begin(`${name}_seconds`, 'histogram', help)
      for (const [value, histogram] of this.histograms.get(name as HistogramName) ?? [])
        lines.push(
          ...this.histogramLines(`steadysocket_${name}_seconds`, labelled([label], [value]), histogram),
        )
    }
    return `${lines.join('\n')}\n`
  }

  private histogramLines(name: string, labels: string, { buckets, sum, count }: Histogram): string[] {
    let total = 0
    const lines = BUCKETS.map((bound, i) => {
      total += buckets[i] as number
      return `${name}_bucket{${labels},le="${bound}"} ${total}`
    })
    return [
      ...lines,
      `${name}_bucket{${labels},le="+Inf"} ${count}`,
      `${name}_sum{${labels}} ${sum}`,
      `${name}_count{${labels}} ${count}`,
    ]
  }
}
