import { renderToString } from 'vue/server-renderer'
import type { AppProps } from './contract.ts'
import { serverApp } from './vue.ts'

export const render = (props: AppProps) => renderToString(serverApp(props))
