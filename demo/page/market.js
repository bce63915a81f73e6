// Market data. Quotes are sent with a `key`: without a connection, only the newest one is queued.
import { button, colour, make, page, write } from './dom.js'

const kept = 360
/** After this long without a tick, the line has a gap: a continuous line would show prices that were not received. */
const hole = 1.2

export const showMarket = socket => {
  let symbols = []
  let series = []
  let chosen = 0
  const first = []
  const latest = []
  let sent = 0
  let replaced = 0
  let chart

  const axis = {
    stroke: () => colour('quiet'),
    grid: { stroke: () => colour('line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  }
  const size = () => ({ width: Math.max(200, page.chart.clientWidth), height: 220 })
  const show = () => chart?.setData(series[chosen])

  const choose = at => {
    chosen = at
    for (const [n, one] of [...page.tickers.children].entries()) one.setAttribute('aria-pressed', n === at)
    show()
  }

  const begin = names => {
    if (symbols.length) return
    symbols = names
    series = names.map(() => [[], [], []])
    page.tickers.append(...names.map((_, at) => button('ticker', '', () => choose(at))))
    ;[...page.tickers.children].forEach((one, at) => {
      one.append(make('b', '', names[at]), make('span', 'price', '–'), make('span', 'change', ''))
    })
    choose(0)
    chart = new window.uPlot(
      {
        ...size(),
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { range: (_, min, max) => [max - Math.min(60, Math.max(10, max - min)), max] } },
        axes: [
          {
            ...axis,
            values: (_, splits) => splits.map(at => new Date(at * 1000).toLocaleTimeString('en-GB')),
            space: 90,
            size: 30,
          },
          { ...axis, size: 52 },
        ],
        series: [
          {},
          { stroke: () => colour('accent'), width: 2, points: { show: false } },
          {
            stroke: () => colour('unsure'),
            width: 1.5,
            dash: [5, 4],
            points: { show: false },
            spanGaps: false,
          },
        ],
      },
      series[0],
      page.chart,
    )
    new ResizeObserver(() => chart.setSize(size())).observe(page.chart)
  }

  /** The quotes as the server received them. */
  const heard = []

  const tick = prices => {
    const now = Date.now() / 1000
    prices.forEach((price, at) => {
      const [times, line, quotes] = series[at]
      const last = times[times.length - 1]
      if (last && now - last > hole) {
        times.push(last + 0.1)
        line.push(null)
        quotes.push(null)
      }
      times.push(now)
      line.push(price)
      quotes.push(heard[at] ?? null)
      for (const column of series[at]) column.splice(0, Math.max(0, column.length - kept))

      first[at] ??= price
      latest[at] = price
      const change = (price / first[at] - 1) * 100
      const [, text, moved] = page.tickers.children[at].children
      write(text, price.toFixed(2))
      write(moved, `${change < 0 ? '▼' : '▲'} ${Math.abs(change).toFixed(2)} %`)
      moved.dataset.way = change < 0 ? 'down' : 'up'
    })
    if (!document.hidden) show()
  }

  setInterval(() => {
    write(page['quotes-waiting'], Math.min(socket.queued, symbols.length))
    if (document.hidden || !page.quoting.checked || !latest.length || socket.state.name === 'closed') return
    const symbol = symbols[chosen]
    const value = latest[chosen] * (1 + (page.spread.value - 50) / 5_000 + (Math.random() - 0.5) * 0.0004)
    if (socket.send(JSON.stringify({ type: 'quote', symbol, value }), { key: symbol }) !== 'dropped') sent++
    write(page['quotes-sent'], sent)
  }, 100)

  return {
    begin,
    tick,
    quote({ symbol, value }) {
      heard[symbols.indexOf(symbol)] = value
    },
    replaced() {
      write(page['quotes-replaced'], ++replaced)
    },
  }
}
