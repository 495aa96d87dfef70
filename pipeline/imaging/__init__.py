"""From a file to a small picture.

What is there: `scan` finds files, `elements` and `headers` read what they say of themselves, `fingerprint` and
`identity` tell them and their patients apart, `labels` and `roster` decide who is in, `flags` warns.

What it shows: `stored` decodes (with `codestream`, `jpeg_lossless`, `palette`), `tone` and `fullsize` turn values into
brightness, `render` and `kernels` crop and reduce. `picture` does all of it for a file; `preview` and `sheet` draw it.

What is kept: `plan` says which picture lies in which shard, `shards` writes one, `pixelstore` puts them in force.
"""
