"""Training steps of TRecViT in PyTorch, for training.ts.

python3 torchStep.py FILE CONFIG THREADS RATE DECAY: FILE is a .safetensors file with the official
parameters, `frames` [t, H, W, 3] from 0 to 1 and `label` [1]. CONFIG is JSON. Prints a line of JSON
with the version. Then each line of input makes one step (forward, backward, AdamW), and is answered
with the loss before the update and the milliseconds of CPU time. Formulas: arXiv 2412.14294 and
the code of google-deepmind/trecvit. RG-LRU computes frame by frame, like the official code.
"""
import json
import math
import struct
import sys
import time

import torch
import torch.nn.functional as F

file, config, threads, rate, decay = sys.argv[1:]
config = json.loads(config)
torch.set_num_threads(int(threads))


def read(path):
    with open(path, 'rb') as f:
        data = bytearray(f.read())
    (size,) = struct.unpack('<Q', data[:8])
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        start, end = entry['data_offsets']
        values = torch.frombuffer(data, dtype=torch.float32, offset=8 + size + start,
                                  count=(end - start) // 4)
        tensors[name] = values.reshape(entry['shape']).clone()
    return tensors


weights = read(file)
frames = weights.pop('frames')
label = weights.pop('label').long()
for weight in weights.values():
    weight.requires_grad_(True)
heads, depth = config['numHeads'], config['depth']
patch = config['patchSize'][0]


def dense(name, x):
    kernel = weights[f'{name}/kernel']
    return x @ kernel.reshape(x.shape[-1], -1) + weights[f'{name}/bias'].reshape(-1)


def gelu(x):
    return F.gelu(x, approximate='tanh')


def layer_norm(name, x):
    return F.layer_norm(x, x.shape[-1:], weights[f'{name}/scale'], weights[f'{name}/bias'], 1e-6)


def gate(name, x):
    t, n, e = x.shape
    w = weights[f'{name}/w']
    y = torch.einsum('tnhi,hio->tnho', x.reshape(t, n, heads, e // heads), w)
    return torch.sigmoid(y + weights[f'{name}/b']).reshape(t, n, e)


def recurrent_block(path, x):
    y = gelu(dense(f'{path}/linear_y', x))
    z = dense(f'{path}/linear_x', x)
    t, n, e = z.shape
    w = weights[f'{path}/conv_1d/w']
    k = w.shape[0]
    padded = F.pad(z, (0, 0, 0, 0, k - 1, 0))
    v = sum(w[j] * padded[j : j + t] for j in range(k)) + weights[f'{path}/conv_1d/b']
    lru = f'{path}/rg_lru'
    log_a = -8 * gate(f'{lru}/a_gate', v) * F.softplus(weights[f'{lru}/a_param'])
    a = torch.exp(log_a[1:])
    scale = torch.cat([torch.ones_like(v[:1]), torch.sqrt(-torch.expm1(2 * log_a[1:]))])
    x = scale * gate(f'{lru}/input_gate', v) * v
    s = [x[0]]
    for i in range(1, t):
        s.append(a[i - 1] * s[-1] + x[i])
    return dense(f'{path}/linear_out', torch.stack(s) * y)


def attention(path, rows, x):
    """Attention of some rows to all."""
    q, k, v = (
        dense(f'{path}/{name}', y).reshape(*y.shape[:2], heads, -1).transpose(1, 2)
        for name, y in (('query', rows), ('key', x), ('value', x))
    )
    shares = torch.softmax((q / math.sqrt(q.shape[-1])) @ k.transpose(2, 3), -1)
    return dense(f'{path}/out', (shares @ v).transpose(1, 2).reshape(rows.shape))


def forward():
    t, height, width, _ = frames.shape
    x = frames.reshape(t, height // patch, patch, width // patch, patch, 3)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(t, -1, patch * patch * 3)
    x = dense('tokenizer/embedding', x) + weights['tokenizer/pos_embedding']
    x = torch.cat([weights['tokenizer/cls'].expand(t, 1, -1), x], 1)
    for layer in range(depth):
        block = f'encoder/residualblock_{layer:02}'
        u = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
        u = u * (1 + weights[f'{block}/temporal_pre_norm/scale'])
        x = x + recurrent_block(f'{block}/recurrent_block', u)
        block = f'encoder/encoderblock_{layer}'
        y = layer_norm(f'{block}/LayerNorm_0', x)
        # Of the last block only the class token is used.
        count = 1 if layer == depth - 1 else x.shape[1]
        path = f'{block}/MultiHeadDotProductAttention_0'
        x = x[:, :count] + attention(path, y[:, :count], y)
        y = layer_norm(f'{block}/LayerNorm_1', x)
        y = gelu(dense(f'{block}/MlpBlock_0/Dense_0', y))
        x = x + dense(f'{block}/MlpBlock_0/Dense_1', y)
    x = layer_norm('encoder/encoder_norm', x)[:, 0]
    x = torch.tanh(dense('decoder/pre_logits', x)).mean(0, keepdim=True)
    return dense('decoder/cls_head', x)


def is_decayed(name):
    return name.rsplit('/', 1)[-1] in ('kernel', 'w')


groups = [
    {'params': [w for name, w in weights.items() if is_decayed(name) == decayed],
     'weight_decay': float(decay) if decayed else 0}
    for decayed in (True, False)
]
optimizer = torch.optim.AdamW(groups, lr=float(rate))


def say(**values):
    print(json.dumps(values), flush=True)


with open('/proc/self/maps') as maps:
    library = 'OpenBLAS' if 'openblas' in maps.read() else 'reference BLAS'
say(version=f'{torch.__version__} with {library}')
for line in sys.stdin:
    start = time.process_time()
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(forward(), label)
    loss.backward()
    optimizer.step()
    say(loss=loss.item(), cpu=1000 * (time.process_time() - start))
