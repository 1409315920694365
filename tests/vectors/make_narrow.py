"""Makes tests/models/odd_narrow: a random gpt-oss checkpoint as narrow as the ones that training libraries test with,
without MXFP4, whose sizes are no multiples of anything that a kernel likes. The logits are computed here, in double
precision and with the standard library alone, from the formulas of the model.

    python3 tests/vectors/make_narrow.py tests/models/odd_narrow
"""

import json
import math
import pathlib
import random
import struct
import sys

CONFIG = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "dtype": "bfloat16",
    "eos_token_id": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 8,
    "initializer_range": 0.02,
    "intermediate_size": 10,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "max_position_embeddings": 512,
    "model_type": "gpt_oss",
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "output_router_logits": False,
    "rms_norm_eps": 1e-05,
    "rope_parameters": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 4.0,
        "original_max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "rope_type": "yarn",
        "truncate": False,
    },
    "router_aux_loss_coef": 0.9,
    "sliding_window": 5,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "unsloth_fixed": True,
    "use_cache": True,
    "vocab_size": 67,
}
ALPHA = 1.702
LENGTHS = (1, 2, 17, 70)
MIN_ROUTER_GAP = 1e-3

H, F, V = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["vocab_size"]
D, NQ, NK = CONFIG["head_dim"], CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]
E, K = CONFIG["num_local_experts"], CONFIG["num_experts_per_tok"]


def bf16(value):
    """The nearest bfloat16, ties to even, as its 16 bits."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def value_of(bits):
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


class Tensors:
    """Random tensors in bfloat16, by name: shape and flat values."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.all = {}

    def draw(self, name, shape, std, mean=0.0):
        count = math.prod(shape)
        bits = [bf16(self.random.gauss(mean, std)) for _ in range(count)]
        self.all[name] = (shape, bits)

    def matrix(self, name):
        (_, columns), bits = self.all[name]
        values = [value_of(b) for b in bits]
        return [values[i : i + columns] for i in range(0, len(values), columns)]

    def vector(self, name):
        return [value_of(b) for b in self.all[name][1]]

    def expert(self, name, index):
        """Matrix [in, out] of an expert, from [experts, in, out]."""
        (_, rows, columns), bits = self.all[name]
        values = [value_of(b) for b in bits[index * rows * columns : (index + 1) * rows * columns]]
        return [values[i : i + columns] for i in range(0, len(values), columns)]

    def save(self, path):
        header, data = {"__metadata__": {"format": "pt"}}, b""
        for name, (shape, bits) in self.all.items():
            piece = struct.pack(f"<{len(bits)}H", *bits)
            header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [len(data), len(data) + len(piece)]}
            data += piece
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def draw_model(seed):
    t = Tensors(seed)
    t.draw("model.embed_tokens.weight", (V, H), 1.0)
    for n in range(CONFIG["num_hidden_layers"]):
        at = f"model.layers.{n}."
        t.draw(at + "input_layernorm.weight", (H,), 0.2, 1.0)
        for name, out in (("q", NQ * D), ("k", NK * D), ("v", NK * D)):
            t.draw(at + f"self_attn.{name}_proj.weight", (out, H), 1.2 / math.sqrt(H))
            t.draw(at + f"self_attn.{name}_proj.bias", (out,), 0.3)
        t.draw(at + "self_attn.o_proj.weight", (H, NQ * D), 0.7 / math.sqrt(NQ * D))
        t.draw(at + "self_attn.o_proj.bias", (H,), 0.3)
        t.draw(at + "self_attn.sinks", (NQ,), 1.5)
        t.draw(at + "post_attention_layernorm.weight", (H,), 0.2, 1.0)
        t.draw(at + "mlp.router.weight", (E, H), 2.0 / math.sqrt(H))
        t.draw(at + "mlp.router.bias", (E,), 0.5)
        t.draw(at + "mlp.experts.gate_up_proj", (E, H, 2 * F), 3.0 / math.sqrt(H))
        t.draw(at + "mlp.experts.gate_up_proj_bias", (E, 2 * F), 0.5)
        t.draw(at + "mlp.experts.down_proj", (E, F, H), 0.1 / math.sqrt(F))
        t.draw(at + "mlp.experts.down_proj_bias", (E, H), 0.1)
    t.draw("model.norm.weight", (H,), 0.06, 1.0)
    t.draw("lm_head.weight", (V, H), 2.5 / math.sqrt(H))
    return t


def multiply(matrix, x, bias=None):
    """matrix [out, in]."""
    bias = bias or [0.0] * len(matrix)
    return [b + math.fsum(w * v for w, v in zip(row, x)) for row, b in zip(matrix, bias)]


def multiply_transposed(matrix, x, bias):
    """matrix [in, out]."""
    return multiply([list(column) for column in zip(*matrix)], x, bias)


def norm(x, weight):
    scale = 1.0 / math.sqrt(math.fsum(v * v for v in x) / len(x) + CONFIG["rms_norm_eps"])
    return [w * v * scale for w, v in zip(weight, x)]


def yarn():
    """Radians per position for each pair, and the scale of cos and sin."""
    r = CONFIG["rope_parameters"]
    theta, factor, context = r["rope_theta"], r["factor"], r["original_max_position_embeddings"]
    ends = [D * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(theta)) for turns in (r["beta_fast"], r["beta_slow"])]
    low, high = max(ends[0], 0.0), min(ends[1], D - 1)
    frequencies = []
    for i in range(D // 2):
        f = theta ** (-2 * i / D)
        ramp = min(max((i - low) / (high - low), 0.0), 1.0)
        frequencies.append(ramp * f / factor + (1 - ramp) * f)
    return frequencies, 0.1 * math.log(factor) + 1.0


def rotate(head, position, rope):
    frequencies, scale = rope
    out = list(head)
    for i, f in enumerate(frequencies):
        c, s = scale * math.cos(position * f), scale * math.sin(position * f)
        a, b = head[i], head[i + D // 2]
        out[i], out[i + D // 2] = a * c - b * s, b * c + a * s
    return out


def heads_of(vector):
    return [vector[i : i + D] for i in range(0, len(vector), D)]


def attend(t, at, x, position, cache, window, rope):
    h = norm(x, t.vector(at + "input_layernorm.weight"))
    q, k, v = (
        heads_of(multiply(t.matrix(at + f"self_attn.{n}_proj.weight"), h, t.vector(at + f"self_attn.{n}_proj.bias")))
        for n in "qkv"
    )
    cache.append(([rotate(head, position, rope) for head in k], v))
    visible = cache[-window:] if window else cache
    out, sinks = [], t.vector(at + "self_attn.sinks")
    for i, head in enumerate(q):
        head, group = rotate(head, position, rope), i // (NQ // NK)
        scores = [math.fsum(a * b for a, b in zip(head, keys[group])) / math.sqrt(D) for keys, _ in visible]
        most = max(*scores, sinks[i])
        weights = [math.exp(s - most) for s in scores]
        total = math.fsum(weights) + math.exp(sinks[i] - most)
        out += [math.fsum(w * values[group][d] for w, (_, values) in zip(weights, visible)) / total for d in range(D)]
    o = multiply(t.matrix(at + "self_attn.o_proj.weight"), out, t.vector(at + "self_attn.o_proj.bias"))
    return [a + b for a, b in zip(x, o)]


def mix(t, at, x, gaps):
    h = norm(x, t.vector(at + "post_attention_layernorm.weight"))
    logits = multiply(t.matrix(at + "mlp.router.weight"), h, t.vector(at + "mlp.router.bias"))
    order = sorted(range(E), key=lambda e: (-logits[e], e))
    gaps.append(logits[order[K - 1]] - logits[order[K]])
    weights = [math.exp(logits[e] - logits[order[0]]) for e in order[:K]]
    limit = CONFIG["swiglu_limit"]
    for e, weight in zip(order[:K], weights):
        bias = t.vector(at + "mlp.experts.gate_up_proj_bias")[e * 2 * F : (e + 1) * 2 * F]
        u = multiply_transposed(t.expert(at + "mlp.experts.gate_up_proj", e), h, bias)
        gated = []
        for gate, up in zip(u[::2], u[1::2]):
            gate, up = min(gate, limit), min(max(up, -limit), limit)
            gated.append(gate / (1 + math.exp(-ALPHA * gate)) * (up + 1))
        bias = t.vector(at + "mlp.experts.down_proj_bias")[e * H : (e + 1) * H]
        y = multiply_transposed(t.expert(at + "mlp.experts.down_proj", e), gated, bias)
        x = [a + weight / math.fsum(weights) * b for a, b in zip(x, y)]
    return x


def logits_of(t, ids, gaps):
    embedding, rope, rows = t.matrix("model.embed_tokens.weight"), yarn(), []
    caches = [[] for _ in CONFIG["layer_types"]]
    for position, token in enumerate(ids):
        x = embedding[token]
        for n, kind in enumerate(CONFIG["layer_types"]):
            window = CONFIG["sliding_window"] if kind == "sliding_attention" else None
            x = attend(t, f"model.layers.{n}.", x, position, caches[n], window, rope)
            x = mix(t, f"model.layers.{n}.", x, gaps)
        rows.append(multiply(t.matrix("lm_head.weight"), norm(x, t.vector("model.norm.weight"))))
    return rows


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(100):
        t, gaps = draw_model(seed), []
        chooser = random.Random(seed)
        sequences = [[chooser.randrange(V) for _ in range(n)] for n in LENGTHS]
        rows = [row for ids in sequences for row in logits_of(t, ids, gaps)]
        if min(gaps) >= MIN_ROUTER_GAP:
            break
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    t.save(folder / "model.safetensors")
    layout = "logits.f32: float32 little-endian, [sum of lengths, vocab_size], every position of every sequence in order"
    (folder / "reference.json").write_text(json.dumps({"sequences": sequences, "logits": layout}) + "\n", encoding="utf-8")
    (folder / "logits.f32").write_bytes(b"".join(struct.pack(f"<{V}f", *row) for row in rows))
    print(f"seed {seed}, router gap {min(gaps):.2g}, largest logit {max(abs(v) for row in rows for v in row):.3f}")


if __name__ == "__main__":
    main()
