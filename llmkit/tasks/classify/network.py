"""The network of a text classifier: an LSTM over tokens, pooled, beside a linear part over n-grams.

Sizes in, logits out; it knows no settings. Pooled is the mean, the largest and the last of what the LSTM gives (as in
ULMFiT: Howard & Ruder, arXiv 1801.06146, section 3.3). The linear part is fitted beforehand (`linear.py`), for its loss
has one minimum, and only mixed in: trained along with it, the LSTM would learn little, since n-grams learn so fast.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING_DEVIATION = 0.1


class TextNetwork(nn.Module):
    """Tokens (T, B), their counts (B,) and what the linear part says (B, C) to logits.

    `mixture` (2, C) is how much the logits of either count, the linear part's first.
    """

    ngram_table: Tensor
    ngram_bias: Tensor
    mixture: Tensor

    def __init__(
        self,
        vocab_size: int,
        features: int,
        classes: int,
        *,
        embedding_size: int,
        hidden_size: int,
        bidirectional: bool,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        with_linear: bool = True,
    ):
        super().__init__()
        self.vocab_size, self.features, self.classes = vocab_size, features, classes
        self.embedding_size, self.hidden_size = embedding_size, hidden_size
        self.directions = 2 if bidirectional else 1
        self.dropout, self.input_dropout = dropout, input_dropout
        self.with_linear = with_linear and features > 0
        # Small, so that a word seen once or twice counts little instead of being told by its random numbers.
        self.embedding = nn.Parameter(EMBEDDING_DEVIATION * torch.randn(vocab_size, embedding_size))
        self.lstm = nn.ModuleList(nn.LSTM(embedding_size, hidden_size) for _ in range(self.directions))
        for lstm in self.lstm:
            for name, weight in lstm.named_parameters():
                if name.startswith("weight"):
                    nn.init.orthogonal_(weight) if "hh" in name else nn.init.xavier_uniform_(weight)
                else:
                    nn.init.zeros_(weight)
            forget = dict(lstm.named_parameters())["bias_ih_l0"][hidden_size : 2 * hidden_size]  # gates: i, f, g, o
            nn.init.ones_(forget)
        self.output = nn.Linear(3 * self.directions * hidden_size, classes)
        self.register_buffer("ngram_table", torch.zeros(features + 1, classes))  # row 0: the filling
        self.register_buffer("ngram_bias", torch.zeros(classes))
        self.register_buffer("mixture", torch.tensor([[float(self.with_linear)], [1.0]]).repeat(1, classes))

    @property
    def with_lstm(self) -> bool:
        """Whether the LSTM counts at all."""
        return bool(self.mixture[1].any()) or not self.with_linear

    def forward(self, tokens: Tensor, counts: Tensor, linear: Tensor) -> Tensor:
        """Logits (B, C): the LSTM's alone while training, else the mixture."""
        logits = self.lstm_logits(tokens, counts)
        if self.training or not self.with_linear:
            return logits
        return self.mixture[0] * linear + self.mixture[1] * logits

    def lstm_logits(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """What the LSTM says (B, C)."""
        return self.output(F.dropout(self.pooled(tokens, counts), self.dropout, self.training))

    def pooled(self, tokens: Tensor, counts: Tensor) -> Tensor:
        """Mean, largest and last of the LSTM's outputs, each (B, directions · H), side by side."""
        x = F.embedding(tokens, self.embedding)  # (T, B) -> (T, B, E)
        if self.training and self.input_dropout:
            p = self.input_dropout
            kept = torch.rand(*x.shape[:2], 1, device=x.device) >= p  # whole tokens
            x = F.dropout(x * kept, p, True)
        step = torch.arange(len(tokens), device=tokens.device)[:, None]  # (T, 1)
        inside = (step < counts)[:, :, None]  # (T, B, 1)
        outputs, last = [], []
        for direction, lstm in enumerate(self.lstm):
            place = (counts - 1 - step).clamp(min=0)[
                :, :, None
            ]  # of the text read from its end; the filling stays last
            read = x if direction == 0 else x.gather(0, place.expand_as(x))
            found, _ = lstm(read)  # (T, B, H)
            outputs.append(found)
            last.append(found.gather(0, (counts - 1)[None, :, None].expand(1, -1, found.shape[2]))[0])
        # The order of steps does not matter to the mean and the largest, so nothing is turned back.
        y = torch.cat(outputs, dim=2)  # (T, B, directions · H)
        mean = (y * inside).sum(dim=0) / counts[:, None]
        largest = y.masked_fill(~inside, -1e4).amax(dim=0)
        return torch.cat([mean, largest, *last], dim=1)
