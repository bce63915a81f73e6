import type { AppProps } from './contract.ts'

export const state = ({ feeds }: AppProps): { feeds: AppProps['feeds'] } => {
  let now = $state.raw(feeds)
  return {
    get feeds() {
      return now
    },
    set feeds(next) {
      now = next
    },
  }
}
