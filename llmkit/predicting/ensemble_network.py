"""A network of numbers and categories: a linear part plus multi-layer perceptrons that share their matrices.

Sizes in, outputs out (logits, or what predicts a number); it knows no settings. Each member scales the inputs and the
outputs of every shared matrix in its own way (BatchEnsemble: Wen et al., arXiv 2002.06715; for tables TabM: Gorishniy
et al., arXiv 2410.24210, section 3.3).
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.training.fast_dropout import dropped


class EnsembleNetwork(nn.Module):
    """Numbers (B, F) and categories (B, M), which number on in one table of `table_size` rows, to outputs (B, C)."""

    def __init__(
        self,
        width: int,
        columns: int,
        table_size: int,
        output_count: int,
        *,
        hidden_size: int,
        layers: int,
        members: int,
        embedding_size: int,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ):
        """`width` is F, `columns` M, `output_count` C."""
        super().__init__()
        self.width, self.columns, self.table_size = width, columns, table_size
        self.output_count, self.layers = output_count, layers
        self.members, self.embedding_size = members, embedding_size
        self.dropout, self.input_dropout = dropout, input_dropout
        sizes = [width + columns * embedding_size, *[hidden_size] * layers, output_count] if layers else []
        self.matrices = nn.ParameterList(nn.Parameter(torch.empty(a, b)) for a, b in itertools.pairwise(sizes))
        self.scales_in = nn.ParameterList(nn.Parameter(torch.ones(members, a)) for a in sizes[:-1])
        self.scales_out = nn.ParameterList(nn.Parameter(torch.ones(members, b)) for b in sizes[1:])
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, b)) for b in sizes[1:])
        self.linear = nn.Parameter(torch.zeros(width, output_count)) if width else None
        self.linear_table = nn.Parameter(torch.zeros(table_size, output_count)) if columns else None
        self.embedding = nn.Parameter(torch.randn(table_size, embedding_size)) if columns and layers else None
        self.bias = nn.Parameter(torch.zeros(output_count))
        for matrix in self.matrices:
            bound = matrix.shape[0] ** -0.5
            nn.init.uniform_(matrix, -bound, bound)
        if layers:  # the members differ from the start, by the signs of the first scales only
            self.scales_in[0].data = torch.randint(0, 2, self.scales_in[0].shape).float() * 2 - 1

    def forward(self, numbers: Tensor, categories: Tensor) -> Tensor:
        """Outputs (B, K, C) of the K members while training, else their mean (B, C)."""
        total = self.bias.expand(len(numbers), -1)  # (B, C)
        if self.linear is not None:
            total = total + numbers @ self.linear
        if self.linear_table is not None:
            total = total + F.embedding(categories, self.linear_table).sum(dim=1)  # (B, M, C) -> (B, C)
        if not self.layers:
            return total[:, None] if self.training else total
        embedded = F.embedding(categories, self.embedding).flatten(1) if self.embedding is not None else None
        if self.training and self.input_dropout:
            x = self._first_of_dropped(numbers, embedded)
        else:
            x = self._first(numbers, embedded)
        for k in range(1, len(self.matrices)):
            x = dropped(F.relu(x), self.dropout, self.training)
            x = torch.baddbmm(self.biases[k][:, None], x, self._of_members(k))
        x = x.transpose(0, 1) + total[:, None]  # (B, K, C)
        return x if self.training else x.mean(dim=1)

    def _of_members(self, k: int) -> Tensor:
        """Matrix k of each member (K, A, B). The scales go to the matrix, not to what it is multiplied with, which is
        far more: a training step of 256 rows then takes a third of the time."""
        return self.scales_in[k][:, :, None] * self.matrices[k] * self.scales_out[k][:, None]

    def _first(self, numbers: Tensor, embedded: Tensor | None) -> Tensor:
        """What the first matrix makes (K, B, H) of numbers (B, F), of which no gradient is asked, and embedded
        categories (B, M·E): one product for all members."""
        together = self._of_members(0).transpose(0, 1).flatten(1)  # (F + M·E, K·H)
        of_numbers, of_embedded = together.split([self.width, len(together) - self.width])
        x = torch.addmm(self.biases[0].flatten(), numbers, of_numbers)
        x = x if embedded is None else torch.addmm(x, embedded, of_embedded)
        return x.unflatten(1, (self.members, -1)).transpose(0, 1)

    def _first_of_dropped(self, numbers: Tensor, embedded: Tensor | None) -> Tensor:
        """The same where each member loses other inputs."""
        x = numbers if embedded is None else torch.cat([numbers, embedded], dim=1)
        x = F.dropout(x.expand(self.members, -1, -1), self.input_dropout, self.training)
        return torch.baddbmm(self.biases[0][:, None], x, self._of_members(0))
