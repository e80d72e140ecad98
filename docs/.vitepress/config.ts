import { existsSync, readFileSync } from 'node:fs'
import { defineConfig } from 'vitepress'
import { withMermaid } from 'vitepress-plugin-mermaid'

/** Pages by group, in the order of the sidebar. The text of a link is the heading of its page. */
const groups = {
  Use: [
    'index',
    'classify',
    'streams',
    'timeline',
    'camera',
    'video-input',
    'damaged-video',
    'batch',
    'training',
    'training-in-depth',
    'teach',
    'pretraining',
    'training-commands',
    'motion',
    'command-line',
    'checkpoints',
    'weights',
    'onnx',
  ],
  Deploy: [
    'devices',
    'browser',
    'edge',
    'serving',
    'live-streams',
    'live-messages',
    'live-capacity',
    'security',
  ],
  Numbers: ['accuracy', 'speed'],
  Help: ['troubleshooting', 'glossary'],
  Inside: ['model', 'architecture', 'lifecycle', 'variants', 'operations', 'adding-an-operation'],
}

const docs = new URL('../', import.meta.url)
const sidebar = Object.entries(groups).map(([text, names]) => ({
  text,
  items: names
    .map((name) => new URL(`${name}.md`, docs))
    .filter((file) => existsSync(file))
    .map((file) => ({
      text: /^# (.*)$/m.exec(readFileSync(file, 'utf8'))![1]!,
      link: `/${file.pathname
        .split('/')
        .at(-1)!
        .replace(/(index)?\.md$/, '')}`,
    })),
}))
const api = JSON.parse(readFileSync(new URL('api/typedoc-sidebar.json', docs), 'utf8'))

export default withMermaid(
  defineConfig({
    title: 'trecvit',
    description: 'TRecViT, a recurrent video transformer, in WebAssembly and WebGPU',
    head: [['link', { rel: 'icon', href: 'data:,' }]],
    markdown: {
      // Links to files of the repository are links on its host only.
      config: (md) => {
        md.core.ruler.push('files', ({ tokens }) => {
          for (const { children } of tokens) {
            let inside = false
            for (const token of children ?? []) {
              const target = token.attrGet('href') ?? ''
              if (token.type === 'link_open' && target.startsWith('../')) {
                inside = true
                token.attrs = [['title', target.replace('../', '')]]
                token.tag = 'span'
              } else if (token.type === 'link_close' && inside) {
                inside = false
                token.tag = 'span'
              }
            }
          }
        })
      },
    },
    themeConfig: {
      sidebar: [...sidebar, { text: 'API', items: api, collapsed: true }],
      outline: [2, 3],
      search: { provider: 'local' },
      nav: [
        { text: 'Guide', link: '/classify' },
        { text: 'API', link: '/api/' },
      ],
    },
  }),
)
