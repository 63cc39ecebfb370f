"""The LSTM language model as a torch module. Takes plain sizes, knows no settings.

Regularised after Merity, Keskar, Socher, "Regularizing and Optimizing LSTM Language Models" (arXiv 1708.02182):
locked dropout (one mask for all time steps, after Gal & Ghahramani, arXiv 1512.05287) and weight-dropped
recurrent weights. Time is the first axis throughout: tokens (T, B), activations (T, B, F), states (L, B, H).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.training.fast_dropout import dropped
from llmkit.training.output_loss import OutputLoss

State = tuple[Tensor, Tensor]


class LanguageModel(nn.Module):
    """Embedding -> LSTM layers -> (projection) -> output over the vocabulary.

    With `tie_weights` the output layer shares the embedding's matrix (Press & Wolf, arXiv 1608.05859); where the
    sizes differ a linear projection from `hidden_size` to `embedding_size` comes before it.
    """

    no_bias: Tensor

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        hidden_size: int,
        layers: int,
        tie_weights: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
    ):
        super().__init__()
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.embedding_scale = embedding_size**0.5 if tie_weights else 1.0
        self.hidden_size, self.layers = hidden_size, layers
        self.dropout, self.input_dropout, self.recurrent_dropout = dropout, input_dropout, recurrent_dropout
        self.embedding = nn.Parameter(torch.empty(vocab_size, embedding_size))
        self.weight_ih = nn.ParameterList()
        self.weight_hh = nn.ParameterList()
        self.bias = nn.ParameterList()
        for layer in range(layers):
            inputs = embedding_size if layer == 0 else hidden_size
            self.weight_ih.append(nn.Parameter(torch.empty(4 * hidden_size, inputs)))
            self.weight_hh.append(nn.Parameter(torch.empty(4 * hidden_size, hidden_size)))
            self.bias.append(nn.Parameter(torch.empty(4 * hidden_size)))
        self.projection = None
        if tie_weights and embedding_size != hidden_size:
            self.projection = nn.Parameter(torch.empty(embedding_size, hidden_size))
        self.output = None if tie_weights else nn.Parameter(torch.empty(vocab_size, hidden_size))
        self.output_bias = nn.Parameter(torch.zeros(vocab_size))
        # torch's fused LSTM wants two biases; one of them is enough to train.
        self.register_buffer("no_bias", torch.zeros(4 * hidden_size), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in ±1/sqrt(hidden_size), a forget-gate bias of 1 (Jozefowicz et al. 2015, section 3.3).

        Embedded inputs start with unit variance: with the ±0.1 often used for LSTMs a character model was 0.5 nats
        worse after 400 steps. A tied matrix is also the output layer, so there it is small and scaled on the way in.
        """
        nn.init.normal_(self.embedding, std=1 / self.embedding_scale)
        bound = self.hidden_size**-0.5
        for weight in [*self.weight_ih, *self.weight_hh, self.projection, self.output]:
            if weight is not None:
                nn.init.uniform_(weight, -bound, bound)
        for bias in self.bias:
            nn.init.zeros_(bias)
            nn.init.ones_(bias[self.hidden_size : 2 * self.hidden_size])  # gates stand in the order i, f, g, o

    @property
    def flops_per_token(self) -> int:
        """Of the matrix products of one prediction: two for each weight but the embedding's, which is looked up."""
        weights = [
            *self.weight_ih,
            *self.weight_hh,
            self.projection,
            self.embedding if self.output is None else self.output,
        ]
        return 2 * sum(weight.numel() for weight in weights if weight is not None)

    def initial_state(self, batch_size: int) -> State:
        """Zero state for `batch_size` streams: two tensors (L, B, H)."""
        zeros = self.embedding.new_zeros(self.layers, batch_size, self.hidden_size)
        return zeros, zeros.clone()

    def forward(
        self, tokens: Tensor, state: State, number_type: torch.dtype = torch.float32, targets: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits of the token after each position: (T, B) -> (T, B, V) float32, and the state after the last.

        With `targets` (T, B), or their probabilities (T, B, V), to train on: in place of the logits their mean loss in
        nats, a scalar.

        The arithmetic of the matrix products is done in `number_type`; weights, states and logits are float32.
        """
        x = F.embedding(tokens, self.embedding) * self.embedding_scale  # (T, B) -> (T, B, E)
        x = locked_dropout(x, self.input_dropout, self.training).to(number_type)
        h, c = (s.to(number_type) for s in state)
        ends = []
        for layer in range(self.layers):
            if layer:
                x = locked_dropout(x, self.dropout, self.training)
            hh = dropped(self.weight_hh[layer], self.recurrent_dropout, self.training)  # one mask per window
            used: list[Tensor] = [self.weight_ih[layer], hh, self.bias[layer], self.no_bias]
            weights = in_one_piece(used, number_type) if x.is_cuda else [weight.to(number_type) for weight in used]
            hidden = (h[layer : layer + 1].contiguous(), c[layer : layer + 1].contiguous())
            x, *end = torch._VF.lstm(x, hidden, weights, True, 1, 0.0, self.training, False, False)  # (T, B, H)
            ends.append(end)
        x = locked_dropout(x, self.dropout, self.training)
        if self.projection is not None:
            x = F.linear(x, self.projection.to(number_type))  # (T, B, H) -> (T, B, E)
        output = self.embedding if self.output is None else self.output
        h, c = (torch.cat(part).float() for part in zip(*ends, strict=True))
        if targets is not None:
            return OutputLoss.apply(x.flatten(0, 1), output, self.output_bias, targets.flatten(0, 1)), (h, c)
        return F.linear(x, output.to(number_type), self.output_bias.to(number_type)).float(), (h, c)  # (T, B, V)


def locked_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout with one mask for all time steps: x is (T, B, F), the mask (1, B, F)."""
    if not training or p == 0:
        return x
    mask = torch.empty(1, *x.shape[1:], dtype=x.dtype, device=x.device).bernoulli_(1 - p)
    return x * mask.div_(1 - p)


def in_one_piece(weights: list[Tensor], number_type: torch.dtype) -> list[Tensor]:
    """The weights of an LSTM layer in `number_type`, one after the other in memory: cuDNN takes them as they lie.

    Matrices come before biases, as cuDNN has them. Otherwise it copies all of them into one piece at each call, and
    warns of it.
    """
    flat = torch.cat([weight.to(number_type).flatten() for weight in weights])
    parts = flat.split([weight.numel() for weight in weights])
    return [part.view(weight.shape) for part, weight in zip(parts, weights, strict=True)]
