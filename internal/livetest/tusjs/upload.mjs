// Uploads one file with tus-js-client. Options come as JSON in the first argument; events leave as JSON lines on standard output.
import fs from 'node:fs'
import * as tus from 'tus-js-client'

const options = JSON.parse(process.argv[2])
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
let created = ''
let paused = false

const upload = new tus.Upload(fs.createReadStream(options.file), {
  endpoint: options.endpoint,
  headers: options.headers ?? {},
  metadata: options.metadata ?? {},
  chunkSize: options.chunkSize || Infinity,
  parallelUploads: options.parallelUploads || 1,
  retryDelays: Array(200).fill(options.retryDelay || 50),
  onAfterResponse: (_req, res) => {
    created = res.getHeader('Sluice-Media-Id') ?? created
  },
  onProgress: (offset) => {
    if (paused || !options.pauseAfter || offset < options.pauseAfter) return
    paused = true
    upload.abort().then(() => setTimeout(() => upload.start(), options.pause))
  },
  onError: (err) => {
    say({ event: 'error', text: String(err) })
    process.exit(1)
  },
  onSuccess: () => {
    say({ event: 'success', url: upload.url, id: created })
    process.exit(0)
  },
})
upload.start()
