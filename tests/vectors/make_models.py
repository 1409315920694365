"""Makes tiny gpt-oss checkpoints of odd shapes, with logits computed by Hugging Face transformers.

Owns the list of cases below and everything written into one folder per case: config.json, the
safetensors, reference.json, logits.f32. The reference model is GptOssForCausalLM in float32 on one
CPU thread with eager attention and eager experts; its parameters are read back from the files just
written and dequantised here, so no quantiser takes part. A second run writes the same bytes.

Refuses weights that would make a poor test: a router choice that rounding could turn, a hidden
state far from 1, a SwiGLU that never (or nearly always) meets its clamp. Such a draw is repeated
with the next seed.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import zlib

import safetensors.torch
import torch
import torch.nn.functional as F
from transformers import GptOssConfig, GptOssForCausalLM

MXFP4 = "mxfp4"
DTYPES = {
    MXFP4: torch.bfloat16,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}
SHORT = (1, 7, 40, 300)
LONG = (1, 7, 40, 300, 700)

# What a draw must satisfy, and how many draws a case may take.
MIN_ROUTER_GAP = 1e-4
HIDDEN_RMS = (0.5, 2.5)
CLAMPED = (0.002, 0.3)
ATTEMPTS = 100

# The sixteen values of a nibble and the 256 scales of the MXFP4 format; all products are exact in
# float64, and exact in float32 too.
FP4_POSITIVE = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
FP4 = torch.tensor(FP4_POSITIVE + [-value for value in FP4_POSITIVE], dtype=torch.float64)
SCALES = torch.tensor([2.0 ** (byte - 127) for byte in range(256)], dtype=torch.float64)
FP4_RMS = FP4.square().mean().sqrt().item()


@dataclasses.dataclass(frozen=True)
class Case:
    """One folder. `config` is added to COMMON. `reference` is set on the reference model alone;
    `implied` is what transformers must make of keys that the file leaves out."""

    name: str
    storage: str
    config: dict
    lengths: tuple = SHORT
    n_shards: int = 1
    reference: dict = dataclasses.field(default_factory=dict)
    implied: dict = dataclasses.field(default_factory=dict)


COMMON = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "attention_bias": True,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "output_router_logits": False,
    "rms_norm_eps": 1e-05,
    "router_aux_loss_coef": 0.9,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "use_cache": True,
}
QUANTIZATION = {
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
    "quant_method": "mxfp4",
}


def sizes(*, vocab, hidden, ff, heads, kv_heads, dim, experts, top_k):
    """The size keys of a config; the last two ids are end and padding."""
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": ff,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": dim,
        "num_local_experts": experts,
        "num_experts_per_tok": top_k,
        "eos_token_id": vocab - 1,
        "pad_token_id": vocab - 2,
    }


def layers(letters):
    """"sf" -> num_hidden_layers and layer_types: sliding, full."""
    names = {"s": "sliding_attention", "f": "full_attention"}
    return {"num_hidden_layers": len(letters), "layer_types": [names[letter] for letter in letters]}


def yarn(factor, original, truncate, **more):
    return {
        "rope_type": "yarn",
        "factor": factor,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "original_max_position_embeddings": original,
        "truncate": truncate,
        **more,
    }


CASES = [
    Case(
        "odd_one_expert",
        MXFP4,
        {
            **sizes(vocab=61, hidden=32, ff=64, heads=3, kv_heads=1, dim=16, experts=1, top_k=1),
            "num_hidden_layers": 2,  # no layer_types: even layers slide
            "sliding_window": 1,
            "max_position_embeddings": 512,
            "rope_theta": 10000,
            "rope_scaling": yarn(8.0, 64, truncate=False),
        },
    ),
    Case(
        "odd_all_experts",
        MXFP4,
        {
            **sizes(vocab=67, hidden=96, ff=32, heads=3, kv_heads=3, dim=48, experts=6, top_k=6),
            **layers("sss"),
            "sliding_window": 5,
            "max_position_embeddings": 1024,
            "rope_parameters": {"rope_theta": 150000.0, **yarn(16.0, 64, truncate=True)},
            "swiglu_alpha": 1.702,
            "eos_token_id": [66, 64],
        },
        lengths=LONG,
    ),
    Case(
        "odd_128_experts",
        MXFP4,
        {
            **sizes(vocab=97, hidden=32, ff=32, heads=2, kv_heads=1, dim=128, experts=128, top_k=4),
            **layers("ff"),
            "sliding_window": 9,
            "rms_norm_eps": 1e-06,
            "max_position_embeddings": 1024,
            "rope_theta": 500000.0,
            "rope_scaling": yarn(4.0, 256, truncate=False),
        },
    ),
    Case(
        "odd_no_window",
        MXFP4,
        {
            **sizes(vocab=71, hidden=64, ff=96, heads=4, kv_heads=2, dim=32, experts=4, top_k=2),
            **layers("ff"),
            "sliding_window": None,
            "max_position_embeddings": 512,
            "rope_theta": 10000.0,
            "rope_scaling": yarn(2.0, 256, truncate=True),
        },
        # transformers wants a window for the mask of its sliding layers even if there are none.
        reference={"sliding_window": 7},
    ),
    Case(
        "odd_f32",
        "float32",
        {
            **sizes(vocab=79, hidden=32, ff=64, heads=5, kv_heads=5, dim=24, experts=3, top_k=2),
            **layers("fs"),
            "sliding_window": 11,
            "max_position_embeddings": 512,
            "rope_theta": 10000.0,
            "rope_scaling": {"rope_type": "default"},
        },
    ),
    Case(
        "odd_f16",
        "float16",
        {
            **sizes(vocab=101, hidden=64, ff=64, heads=3, kv_heads=1, dim=64, experts=4, top_k=2),
            **layers("sf"),
            "sliding_window": 32,
            "tie_word_embeddings": True,
            "max_position_embeddings": 2048,
            "rope_theta": 50000.0,
            "rope_scaling": yarn(2.0, 1024, truncate=True, attention_factor=1.25),
        },
    ),
    Case(
        "odd_default_rope",
        "bfloat16",
        {
            **sizes(vocab=83, hidden=32, ff=64, heads=2, kv_heads=2, dim=64, experts=3, top_k=1),
            **layers("fs"),
            "sliding_window": 64,
            "max_position_embeddings": 131072,
        },
        implied={
            "rope_parameters": {"rope_theta": 150000.0, **yarn(32.0, 4096, truncate=False)},
        },
    ),
    Case(
        "odd_sharded",
        MXFP4,
        {
            **sizes(vocab=113, hidden=32, ff=64, heads=4, kv_heads=2, dim=80, experts=5, top_k=3),
            **layers("ffssf"),
            "sliding_window": 3,
            "attention_bias": False,
            "experts_per_token": 3,
            "initial_context_length": 512,
            "max_position_embeddings": 1024,
            "rope_theta": 10000.0,
            "rope_scaling": yarn(2.0, 512, truncate=False, mscale=2.0, mscale_all_dim=0.5),
        },
        lengths=LONG,
        n_shards=3,
    ),
]


class Draw:
    """Random tensors of one seed; floats are rounded to `dtype`, the type that the file keeps."""

    def __init__(self, seed, dtype):
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = dtype

    def normal(self, *shape, std, mean=0.0):
        return (mean + std * torch.randn(shape, generator=self.generator)).to(self.dtype)

    def integers(self, *shape, low=0, high):
        """Integers in [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator)


def full_config(case):
    """The dict that becomes config.json."""
    config = {**COMMON, **case.config}
    is_v5 = "rope_parameters" in config
    config["dtype" if is_v5 else "torch_dtype"] = str(DTYPES[case.storage]).removeprefix("torch.")
    if case.storage == MXFP4:
        config["quantization_config"] = QUANTIZATION
    return config


def draw_attention(config, draw):
    """Tensors of one attention, named from `self_attn.` on; weights are [out, in]."""
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    n_q = config["num_attention_heads"] * head_dim
    n_kv = config["num_key_value_heads"] * head_dim
    projections = {
        "q_proj": (n_q, hidden, 1.2),
        "k_proj": (n_kv, hidden, 1.2),
        "v_proj": (n_kv, hidden, 1.0),
        "o_proj": (hidden, n_q, 0.7),
    }
    tensors = {"self_attn.sinks": draw.normal(config["num_attention_heads"], std=1.5)}
    for name, (rows, columns, gain) in projections.items():
        std = gain / math.sqrt(columns)
        tensors[f"self_attn.{name}.weight"] = draw.normal(rows, columns, std=std)
        if config["attention_bias"]:
            tensors[f"self_attn.{name}.bias"] = draw.normal(rows, std=0.3)
    return tensors


def draw_mxfp4(draw, n_experts, rows, columns, std):
    """Blocks [experts, rows, columns / 32, 16] and scales [experts, rows, columns / 32], uint8.

    Neighbouring groups differ in scale by up to 4; one group in 32 has a scale byte of 0 or 1,
    where a float32 of the value is subnormal."""
    groups = (n_experts, rows, columns // 32)
    spread = math.sqrt((0.25 + 1.0 + 4.0) / 3.0)
    middle = 127 + round(math.log2(std / (FP4_RMS * spread)))
    scales = draw.integers(*groups, low=middle - 1, high=middle + 2)
    is_tiny = draw.integers(*groups, high=32) == 0
    scales = torch.where(is_tiny, draw.integers(*groups, high=2), scales)
    blocks = draw.integers(*groups, 16, high=256)
    return blocks.to(torch.uint8), scales.to(torch.uint8)


def draw_experts(config, storage, draw):
    """Tensors of one layer's experts: packed [experts, out, in] or plain [experts, in, out]."""
    hidden, ff, n_experts = (
        config[key] for key in ("hidden_size", "intermediate_size", "num_local_experts")
    )
    # Gains: gate and up about 3 (some beyond the clamp), the sum over experts about 0.6.
    matrices = {"gate_up_proj": (2 * ff, hidden, 3.0, 0.5), "down_proj": (hidden, ff, 0.1, 0.1)}
    tensors = {}
    for name, (rows, columns, gain, bias_std) in matrices.items():
        std = gain / math.sqrt(columns)
        prefix = f"mlp.experts.{name}"
        if storage == MXFP4:
            blocks, scales = draw_mxfp4(draw, n_experts, rows, columns, std)
            tensors[f"{prefix}_blocks"], tensors[f"{prefix}_scales"] = blocks, scales
        else:
            tensors[prefix] = draw.normal(n_experts, columns, rows, std=std)
        tensors[f"{prefix}_bias"] = draw.normal(n_experts, rows, std=bias_std)
    return tensors


def draw_layer(config, storage, draw):
    hidden, n_experts = config["hidden_size"], config["num_local_experts"]
    return {
        "input_layernorm.weight": draw.normal(hidden, std=0.2, mean=1.0),
        **draw_attention(config, draw),
        "post_attention_layernorm.weight": draw.normal(hidden, std=0.2, mean=1.0),
        "mlp.router.weight": draw.normal(n_experts, hidden, std=2.0 / math.sqrt(hidden)),
        "mlp.router.bias": draw.normal(n_experts, std=0.5),
        **draw_experts(config, storage, draw),
    }


def draw_tensors(config, storage, draw):
    """All tensors of a checkpoint under their HF names. Tied embeddings have to be of size 1 as
    input, so there the final norm makes the logits small instead."""
    vocab, hidden, tied = (
        config[key] for key in ("vocab_size", "hidden_size", "tie_word_embeddings")
    )
    tensors = {"model.embed_tokens.weight": draw.normal(vocab, hidden, std=1.0)}
    for i in range(config["num_hidden_layers"]):
        for name, tensor in draw_layer(config, storage, draw).items():
            tensors[f"model.layers.{i}.{name}"] = tensor
    tensors["model.norm.weight"] = draw.normal(hidden, std=0.06, mean=0.3 if tied else 1.0)
    if not tied:
        tensors["lm_head.weight"] = draw.normal(vocab, hidden, std=2.5 / math.sqrt(hidden))
    return tensors


def save_tensors(folder, tensors, n_shards):
    """One model.safetensors, or shards and their index. Shards count from 0 and the "of" number is
    the last shard's, as in the published gpt-oss checkpoints."""
    if n_shards == 1:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return
    names = list(tensors)
    per_shard = math.ceil(len(names) / n_shards)
    weight_map = {}
    for i in range(n_shards):
        file = f"model-{i:05d}-of-{n_shards - 1:05d}.safetensors"
        shard = names[i * per_shard : (i + 1) * per_shard]
        weight_map.update({name: file for name in shard})
        part = {name: tensors[name] for name in shard}
        safetensors.torch.save_file(part, folder / file, {"format": "pt"})
    total = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    save_json(folder / "model.safetensors.index.json", index)


def save_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def dequantise(blocks, scales):
    """MXFP4 [experts, out, in / 32, 16] and [experts, out, in / 32] -> float32 [experts, in, out].

    The low nibble of a byte is the even column (OCP Microscaling Formats 1.0: E2M1 values times
    2^(scale - 127))."""
    nibbles = torch.stack((blocks & 15, blocks >> 4), dim=-1).flatten(-2)
    values = FP4[nibbles.long()] * SCALES[scales.long()][..., None]
    return values.flatten(-2).transpose(1, 2).float().contiguous()


def load_parameters(folder):
    """The model's float32 state dict, from the safetensors in the folder."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors.update(safetensors.torch.load_file(path))
    parameters = {}
    for name, tensor in tensors.items():
        if name.endswith("_blocks"):
            stem = name.removesuffix("_blocks")
            parameters[stem] = dequantise(tensor, tensors[f"{stem}_scales"])
        elif not name.endswith("_scales"):
            parameters[name] = tensor.float()
    parameters.setdefault("lm_head.weight", parameters["model.embed_tokens.weight"])
    return parameters


def reference_config(folder, case):
    """The folder's config as transformers reads it, checked against `implied`, then `reference`."""
    config = GptOssConfig.from_pretrained(folder)
    for key, value in case.implied.items():
        found = getattr(config, key)
        if found != value:
            raise SystemExit(f"{case.name}: {key}: want {value}, transformers has {found}")
    for key, value in case.reference.items():
        setattr(config, key, value)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    return config


def load_model(folder, case):
    model = GptOssForCausalLM(reference_config(folder, case)).float().eval()
    model.load_state_dict(load_parameters(folder), strict=True)
    config = model.config
    if (config._attn_implementation, config._experts_implementation) != ("eager", "eager"):
        raise SystemExit(f"{case.name}: transformers did not take the eager implementations")
    if model.model.layers[0].mlp.experts.limit != full_config(case)["swiglu_limit"]:
        raise SystemExit(f"{case.name}: transformers did not take swiglu_limit")
    return model


class Watch:
    """What the forward passes of one model met: the smallest gap between the last chosen and the
    first refused router logit, the RMS of the residual stream after each layer, and the fraction of
    SwiGLU inputs beyond the clamp."""

    def __init__(self, model):
        self.gap = math.inf
        self.rms = []
        self.n_clamped = 0
        self.n_inputs = 0
        for layer in model.model.layers:
            layer.mlp.register_forward_pre_hook(self.see_mlp)
            layer.register_forward_hook(self.see_layer)

    def see_mlp(self, mlp, args):
        x = args[0].flatten(0, -2)
        experts, top_k = mlp.experts, mlp.router.top_k
        logits, order = F.linear(x, mlp.router.weight, mlp.router.bias).sort(descending=True)
        if logits.shape[1] > top_k:
            self.gap = min(self.gap, (logits[:, top_k - 1] - logits[:, top_k]).min().item())
        inputs = torch.einsum("th,ehu->teu", x, experts.gate_up_proj) + experts.gate_up_proj_bias
        rows = torch.arange(len(x))[:, None]
        chosen = inputs[rows, order[:, :top_k]]
        gate, up = chosen[..., ::2], chosen[..., 1::2]
        self.n_clamped += int((gate > experts.limit).sum() + (up.abs() > experts.limit).sum())
        self.n_inputs += chosen.numel()

    def see_layer(self, _layer, _args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        self.rms.append(hidden.square().mean().sqrt().item())

    def complaint(self):
        """Why these weights make a poor test, or None."""
        share = self.n_clamped / self.n_inputs
        if self.gap < MIN_ROUTER_GAP:
            return f"router gap {self.gap:.2g}"
        if not HIDDEN_RMS[0] <= min(self.rms) <= max(self.rms) <= HIDDEN_RMS[1]:
            return f"hidden RMS {min(self.rms):.3g} to {max(self.rms):.3g}"
        if not CLAMPED[0] <= share <= CLAMPED[1]:
            return f"{share:.2%} of the SwiGLU inputs clamped"
        return None

    def row(self):
        """Table cells: gap, hidden RMS, share clamped."""
        gap = "none" if math.isinf(self.gap) else f"{self.gap:.1e}"
        rms = f"{min(self.rms):.2f}..{max(self.rms):.2f}"
        return f"{gap} | {rms} | {self.n_clamped / self.n_inputs:.1%}"


@torch.inference_mode()
def all_logits(model, sequences):
    """float32 [sum of lengths, vocab]."""
    return torch.cat([model(torch.tensor([ids]), use_cache=False).logits[0] for ids in sequences])


def save_reference(folder, sequences, logits):
    layout = (
        "logits.f32: float32 little-endian, [sum of lengths, vocab_size], "
        "every position of every sequence in order"
    )
    text = json.dumps({"sequences": sequences, "logits": layout})
    (folder / "reference.json").write_text(text + "\n", encoding="utf-8")
    (folder / "logits.f32").write_bytes(logits.numpy().astype("<f4").tobytes())


def try_case(folder, case, attempt):
    """Writes the folder from one draw. Returns a table row, or None if the draw was refused."""
    config = full_config(case)
    draw = Draw(zlib.crc32(f"{case.name}/{attempt}".encode()), DTYPES[case.storage])
    save_json(folder / "config.json", config)
    save_tensors(folder, draw_tensors(config, case.storage, draw), case.n_shards)
    vocab = config["vocab_size"]
    sequences = [draw.integers(length, high=vocab).tolist() for length in case.lengths]
    model = load_model(folder, case)
    watch = Watch(model)
    logits = all_logits(model, sequences)
    complaint = watch.complaint()
    if complaint:
        print(f"{case.name}: draw {attempt} refused: {complaint}", flush=True)
        return None
    save_reference(folder, sequences, logits)
    rope = model.model.rotary_emb.attention_scaling
    return f"| {case.name} | {logits.abs().max().item():.3f} | {watch.row()} | {rope:.6f} |"


def make_case(folder, case):
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(ATTEMPTS):
        row = try_case(folder, case, attempt)
        if row:
            return row
    raise SystemExit(f"{case.name}: {ATTEMPTS} draws refused")


def main():
    parser = argparse.ArgumentParser(description="Makes the odd gpt-oss models and their logits.")
    parser.add_argument("folder", type=pathlib.Path, help="where the case folders go")
    parser.add_argument("cases", nargs="*", help="names of cases; all if none")
    arguments = parser.parse_args()
    unknown = set(arguments.cases) - {case.name for case in CASES}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    chosen = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    rows = [make_case(arguments.folder / case.name, case) for case in chosen]
    print("| case | max abs logit | router gap | hidden RMS | clamped | rope factor |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
