"""Query and documents of one call of the cascade, tokenized and compared by static vectors as they are needed."""

from __future__ import annotations

from msgspec import structs

from rerankd.local.cascade.static_table import StaticMatch, StaticTable
from rerankd.local.cascade.tiles import cut_tiles
from rerankd.local.lazy import Lazy
from rerankd.local.tokens.token_cache import TokenCache
from rerankd.local.tokens.tokenizer import TextTokens, Tokenizer
from rerankd.local.tokens.windows import TokenWindow
from rerankd_adapters.base import ProviderCall, Truncation

WINDOW_TOKENS = 256
"""128 tokens lose 0.03 NDCG@10 on long documents, 512 gain nothing."""
_CHARACTERS_PER_TOKEN = 4


class CallDocuments:
    """Reads each document once. Safe to use from the workers of the call.

    Args:
        call: Query and documents.
        tokenizer: Of all networks of the cascade.
        token_cache: Keeps tokens of documents.
        table: Static vectors; `None` where they are not prepared.
    """

    def __init__(
        self, call: ProviderCall, tokenizer: Tokenizer, token_cache: TokenCache, table: StaticTable | None
    ) -> None:
        self._texts = call.documents
        self._token_cache = token_cache
        self._pair_specials = tokenizer.pair_specials
        self._window = TokenWindow.plan(
            structs.replace(call, max_passages_per_doc=1), WINDOW_TOKENS - tokenizer.single_specials
        )
        self._table = table
        self.query = Lazy(lambda: tokenizer.tokenize(call.query, WINDOW_TOKENS // 2))
        self._static_query = Lazy(lambda: None if table is None else table.read_query(self.query.get().ids))
        self._tokens: dict[int, TextTokens] = {}
        self._matches: dict[int, StaticMatch] = {}
        self.cuts: set[int] = set()
        """Positions of the documents that were truncated."""

    @property
    def has_static_vectors(self) -> bool:
        """Whether documents can be compared by static vectors."""
        return self._table is not None

    def read(self, position: int) -> list[int]:
        """Return a document's tokens.

        Raises:
            AdapterError: `REJECTED` when it is too long and cutting is off.
        """
        tokens = self._tokens.get(position)
        if tokens is None:
            tokens, is_cut = self._window.tokenize(self._token_cache, self._texts[position], position, WINDOW_TOKENS)
            self._tokens[position] = tokens
            if is_cut:
                self.cuts.add(position)
        return tokens.ids

    def match(self, position: int) -> StaticMatch:
        """Compare a document with the query by static vectors; call it only where there are such."""
        match = self._matches.get(position)
        if match is None:
            query = self._static_query.get()
            if self._table is None or query is None:
                raise LookupError("there are no static vectors")
            match = self._matches[position] = self._table.compare(query, self.read(position))
        return match

    def read_tiles(self, position: int) -> list[list[int]]:
        """Return the tokens of the tiles that fit the query best; without static vectors all tokens as one."""
        ids = self.read(position)
        if self._table is None:
            return [ids]
        tiles = cut_tiles(ids)
        return [tiles[tile] for tile in self.match(position).tiles]

    def read_beside_query(self, position: int) -> list[int]:
        """Return the tokens that fit into one window with the query."""
        ids = self.read(position)
        room = WINDOW_TOKENS - self._pair_specials - len(self.query.get().ids)
        return ids[-room:] if self._window.cut is Truncation.START else ids[:room]

    def count_tokens(self, position: int, most: int) -> int:
        """Return how many tokens a document has, at most `most`; estimated where it has not been read yet."""
        tokens = self._tokens.get(position)
        return min(most, len(self._texts[position]) // _CHARACTERS_PER_TOKEN if tokens is None else len(tokens.ids))
