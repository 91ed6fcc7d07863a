"""A language model behind FastAPI: a very small one, whose weights are made here instead of being fetched."""

from __future__ import annotations

import torch
from fastapi import FastAPI
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(0)
model = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=2, n_head=2)).eval()
app = FastAPI()


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/generate")
def generate(length: int = 8) -> dict[str, list[int]]:
    """The tokens that follow token 1."""
    with torch.no_grad():
        made = model.generate(torch.tensor([[1]]), max_new_tokens=length, do_sample=False, pad_token_id=0)
    return {"tokens": made[0].tolist()}
