"""The Mersenne Twister behind PyTorch's CPU random numbers, and the draws made from it.

:class:`Mersenne` yields the same stream of 32-bit words as ``torch.Generator('cpu')`` and turns
words into numbers as PyTorch 2.13 does on a CPU with AVX2 and FMA, bit for bit:

* a float32 uniform takes the low 24 bits of one word, a float64 uniform the low 53 bits of two
  (the first word is the high half); scaling to ``[low, high)`` is one fused multiply-add;
* a contiguous normal fill of at least 16 elements transforms blocks of 16 uniforms by Box-Muller
  (8 radii, then 8 angles); a size that is no multiple of 16 redraws its last 16 elements;
* any other normal fill makes float64 pairs, the second of which waits in the generator;
* an integer below ``n`` is a word modulo ``n``, or two words modulo ``n`` from ``n >= 2**28`` on.

Large draws take their words from native code or ``numpy.random``, which are there when much has
been drawn.

Sources: M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); the shuffles of
R. Durstenfeld, CACM 7 (1964), and its inside-out form;
https://docs.pytorch.org/docs/stable/generated/torch.Generator.html
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import numpy as np

from facula.boxmuller import box_muller32, box_muller64, libm, natives

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SEED = 67280421310721
STATE_SIZE = 624
_SHIFT_SIZE = 397
_TWIST = np.uint32(0x9908B0DF)
_UPPER = np.uint32(0x80000000)
_LOWER = np.uint32(0x7FFFFFFF)
# Draws of at least this many words go through numpy.random; below it, exchanging states costs more
# than twisting here. Importing that module takes as long as twisting about half a million words, so
# a process that draws little does not.
_BULK_WORDS = 8192
_IMPORT_WORDS = 1 << 18
_twisted = 0  # words that were made here in draws that numpy.random would have been faster at
# Largest permutation made by the forward shuffle with 32-bit draws, plus one.
_LARGE_PERMUTATION = (2**32 - 1) // 20
_SMALL_PERMUTATION = 256


class Mersenne:
    """PyTorch's CPU random engine: MT19937 and the cached half of a normal pair.

    ``seed`` is any integer in ``[0, 2**64)``; only its low 32 bits reach the state, but all 64 are
    remembered in :attr:`seed`. Every drawing method consumes the stream exactly as PyTorch's
    kernel for the same draw. Not thread-safe: the caller holds a lock.
    """

    __slots__ = (
        "seed",
        "next_normal",
        "next_normal_float",
        "_key",
        "_block",
        "_position",
        "_fresh",
    )

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Starts the stream of ``seed`` and drops the cached normal."""
        self.seed = seed
        self.next_normal: float | None = None
        # A slot of PyTorch's state format that its CPU kernels never use; kept for exchange.
        self.next_normal_float: float | None = None
        self._key: np.ndarray | None = None  # made from the seed when it is first needed
        self._block: np.ndarray | None = None  # the tempered words of _key
        self._position = STATE_SIZE
        self._fresh = True

    def copy(self) -> Mersenne:
        """An independent engine in the same state."""
        other = Mersenne(self.seed)
        other.next_normal = self.next_normal
        other.next_normal_float = self.next_normal_float
        other._key = self._key  # never modified in place
        other._block = self._block
        other._position = self._position
        other._fresh = self._fresh
        return other

    # ---- state exchange ----------------------------------------------------------------------

    def state(self) -> tuple[np.ndarray, int, int]:
        """``(key, next, left)``: 624 uint32 words and PyTorch's two counters."""
        left = STATE_SIZE + 1 - self._position
        return self._current_key().copy(), 0 if self._fresh else self._position, left

    def load(self, key: np.ndarray, next_: int, left: int) -> None:
        """Takes over a state as given by :meth:`state`.

        Raises RuntimeError if the counters do not belong together (PyTorch never writes such).
        """
        key = np.array(key, dtype=np.uint32)
        fresh = next_ == 0 and left == 1
        if key.shape != (STATE_SIZE,) or not (
            fresh or (1 <= next_ <= STATE_SIZE and left == STATE_SIZE + 1 - next_)
        ):
            raise RuntimeError(
                f"Invalid mt19937 state: {key.size} words, next={next_}, left={left}; expected "
                f"{STATE_SIZE} words and next + left = {STATE_SIZE + 1}, or next=0 and left=1"
            )
        self._key = key
        self._block = None
        self._position = STATE_SIZE if fresh else next_
        self._fresh = fresh

    def _current_key(self) -> np.ndarray:
        if self._key is None:
            words = [self.seed & 0xFFFFFFFF]
            word = words[0]
            for i in range(1, STATE_SIZE):
                word = (1812433253 * (word ^ (word >> 30)) + i) & 0xFFFFFFFF
                words.append(word)
            self._key = np.array(words, dtype=np.uint32)
        return self._key

    # ---- words -------------------------------------------------------------------------------

    def words(self, n: int) -> np.ndarray:
        """The next ``n`` 32-bit words, as a new uint32 array."""
        if n == 0:
            return np.empty(0, np.uint32)
        if self._block is None:
            self._block = _temper(self._current_key())
        start, stop = self._position, self._position + n
        if stop <= STATE_SIZE:
            self._position = stop
            return self._block[start:stop].copy()
        native = natives(n)
        if native is not None:
            words, self._key, self._block, self._position = native.words(
                self._current_key(), start, self._block, n
            )
            self._fresh = False
            return words
        if n >= _BULK_WORDS and _in_bulk(n):
            return self._bulk_words(n)
        self._fresh = False
        pieces = [self._block[start:]]
        missing = stop - STATE_SIZE
        while missing > 0:
            self._key = _next_key(self._current_key())
            self._block = _temper(self._key)
            pieces.append(self._block[:missing])
            self._position = min(missing, STATE_SIZE)
            missing -= STATE_SIZE
        return np.concatenate(pieces)

    def _bulk_words(self, n: int) -> np.ndarray:
        # RandomState's stream is frozen for good (NEP 19), and a full-range uint32 draw from it is
        # the raw output of the same generator.
        engine = np.random.RandomState(0)
        engine.set_state(("MT19937", self._current_key(), self._position, 0, 0.0))
        words = engine.randint(0, 2**32, size=n, dtype=np.uint32)
        state = engine.get_state(legacy=False)["state"]
        self._key, self._position = state["key"], int(state["pos"])
        self._block = None
        self._fresh = False
        return words

    def words64(self, n: int) -> np.ndarray:
        """The next ``n`` 64-bit words, two 32-bit words each, high half first, as uint64."""
        pairs = self.words(2 * n).reshape(n, 2)
        result = pairs[:, 0].astype(np.uint64)
        result <<= np.uint64(32)
        result |= pairs[:, 1]
        return result

    # ---- integers ----------------------------------------------------------------------------

    def below(self, n: int, limit: int) -> np.ndarray:
        """``n`` integers in ``[0, limit)``, ``1 <= limit < 2**64``, as uint32 or uint64."""
        if limit >= 2**28:
            words = self.words64(n)
            words %= np.uint64(limit)
        else:
            words = self.words(n)
            words %= np.uint32(limit)
        return words

    def permutation(self, n: int) -> np.ndarray:
        """A random permutation of ``0..n-1`` as int64, in PyTorch's order."""
        if n >= _LARGE_PERMUTATION:
            draws = self.words64(n)
            draws %= np.arange(1, n + 1, dtype=np.uint64)
            return _inside_out_shuffle(draws.astype(np.int64))
        if n < 2:
            return np.arange(n, dtype=np.int64)
        draws = self.words(n - 1)
        draws %= np.arange(n, 1, -1, dtype=np.uint32)
        return _forward_shuffle(draws.astype(np.int64))

    # ---- uniform -----------------------------------------------------------------------------

    def uniform32(self, n: int) -> np.ndarray:
        """``n`` float32 multiples of 2**-24 in [0, 1); one word each."""
        words = self.words(n)
        native = natives(n)
        if native is not None:
            return native.uniform32(words)
        words &= np.uint32(0xFFFFFF)
        result = words.astype(np.float32)
        result *= np.float32(2**-24)
        return result

    def uniform64(self, n: int) -> np.ndarray:
        """``n`` float64 multiples of 2**-53 in [0, 1); two words each."""
        words = self.words(2 * n)
        native = natives(2 * n)
        if native is not None:
            return native.uniform64(words)
        pairs = words.reshape(n, 2)
        # 21 high bits and 32 low bits: every step below is exact.
        result = (pairs[:, 0] & np.uint32(0x1FFFFF)).astype(np.float64)
        result *= 2.0**32
        result += pairs[:, 1]
        result *= 2.0**-53
        return result

    def below64(self, n: int, p: float) -> np.ndarray:
        """Whether each of ``n`` numbers of :meth:`uniform64` is below ``p``."""
        native = natives(2 * n)
        if native is not None:
            return native.below(self.words(2 * n), p)
        return self.uniform64(n) < p

    # ---- normal ------------------------------------------------------------------------------

    def normal_serial(self, n: int) -> np.ndarray:
        """``n`` standard normals in float64, made in pairs; an odd one out is kept for later."""
        result = np.empty(n)
        if n == 0:
            return result
        start = 0
        if self.next_normal is not None:
            result[0] = self.next_normal
            self.next_normal = None
            start = 1
        count = n - start
        if count == 0:
            return result
        uniforms = self.uniform64(count + count % 2)
        radius = np.sqrt(-2.0 * libm("log1p", -uniforms[1::2]))
        angle = (2.0 * math.pi) * uniforms[0::2]
        sines = radius * libm("sin", angle)
        result[start::2] = radius * libm("cos", angle)
        result[start + 1 :: 2] = sines[: count // 2]
        if count % 2:
            self.next_normal = float(sines[-1])
        return result

    def normal_blocks32(
        self, n: int, mean: float = 0.0, std: float = 1.0, *, by_block: bool = False
    ) -> np.ndarray:
        """``n >= 16`` float32 normals by blocks of 16.

        ``by_block`` draws the uniforms block by block, as PyTorch does for half and bfloat16;
        else all ``n`` come first and the last 16 are drawn anew if 16 does not divide ``n``.
        """
        drawn = n // 16 * 16 if by_block else n
        result = np.empty(n, np.float32)
        _fill_blocks(result, self.uniform32, drawn, box_muller32, mean, std)
        return result

    def normal_blocks64(self, n: int, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """``n >= 16`` float64 normals by blocks of 16; the last 16 as in the float32 case."""
        result = np.empty(n)
        _fill_blocks(result, self.uniform64, n, box_muller64, mean, std)
        return result


def _fill_blocks(
    result: np.ndarray,
    uniform: Callable[[int], np.ndarray],
    drawn: int,
    box_muller: Callable[[np.ndarray, float, float], None],
    mean: float,
    std: float,
) -> None:
    """Fills ``result`` from ``drawn`` uniforms, and 16 more if its size is no multiple of 16."""
    n = len(result)
    if n % 16 == 0:
        result[...] = uniform(n)
        box_muller(result, mean, std)
        return
    whole = n - n % 16
    blocks = np.empty(whole + 16, result.dtype)
    blocks[:whole] = uniform(drawn)[:whole]
    blocks[whole:] = uniform(16)
    box_muller(blocks, mean, std)
    result[:whole] = blocks[:whole]
    result[-16:] = blocks[whole:]


# ---- the generator -----------------------------------------------------------------------------


def _in_bulk(n: int) -> bool:
    """Whether a large draw goes through numpy.random, which may have to be imported."""
    global _twisted
    if _twisted + n >= _IMPORT_WORDS or "numpy.random" in sys.modules:
        return True
    _twisted += n
    return False


def _next_key(key: np.ndarray) -> np.ndarray:
    """The next 624 words of state."""
    new = np.empty_like(key)
    mixed = (key[:-1] & _UPPER) | (key[1:] & _LOWER)
    mixed = (mixed >> np.uint32(1)) ^ ((mixed & np.uint32(1)) * _TWIST)
    # Word i needs word i + 397 of the old state or, from 227 on, word i - 227 of the new one.
    step = STATE_SIZE - _SHIFT_SIZE
    new[:step] = key[_SHIFT_SIZE:] ^ mixed[:step]
    new[step : 2 * step] = new[:step] ^ mixed[step : 2 * step]
    new[2 * step : -1] = new[step : STATE_SIZE - 1 - step] ^ mixed[2 * step :]
    wrapped = (key[-1] & _UPPER) | (new[0] & _LOWER)
    new[-1] = new[_SHIFT_SIZE - 1] ^ (wrapped >> np.uint32(1)) ^ ((wrapped & np.uint32(1)) * _TWIST)
    return new


def _temper(key: np.ndarray) -> np.ndarray:
    """The output words of a state."""
    word = key ^ (key >> np.uint32(11))
    word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
    word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
    word ^= word >> np.uint32(18)
    return word


# ---- shuffles ----------------------------------------------------------------------------------
#
# A shuffle swaps one pair after another, and each swap depends on those before. To do all at once,
# ask for each slot where its value came from: the last earlier step that touched the slot left
# there a value that it had taken from its own slot. These links form chains, short on average,
# which are followed for all slots together by doubling.


def _forward_shuffle(draws: np.ndarray) -> np.ndarray:
    """Swaps element ``i`` with element ``i + draws[i]``, for each i in order, from ``0..n-1``.

    ``draws`` has n - 1 int64 elements.
    """
    n = len(draws) + 1
    if n <= _SMALL_PERMUTATION:
        order = list(range(n))
        for i, draw in enumerate(draws.tolist()):
            order[i], order[i + draw] = order[i + draw], order[i]
        return np.array(order, dtype=np.int64)
    native = natives(n)
    if native is not None:
        return native.shuffle(draws)
    targets = np.arange(n, dtype=np.int64)
    targets[:-1] += draws
    previous = _previous_equal(targets)
    # Step i puts what it finds in its own slot i into the target; call that value carried[i].
    # It is i itself unless an earlier step aimed at slot i. The last such step is what matters.
    steps = np.arange(n, dtype=np.int64)
    moved = targets != steps
    link = steps.copy()
    link[targets[moved]] = steps[moved]  # of equal targets the last assignment stays
    carried = _follow(link)
    # Slot i receives what step i found at its target.
    return np.where(previous >= 0, carried[previous], targets)


def _inside_out_shuffle(draws: np.ndarray) -> np.ndarray:
    """For each i in order, copies slot ``draws[i] <= i`` to slot i and puts i in its place."""
    n = len(draws)
    steps = np.arange(n, dtype=np.int64)
    previous = _previous_equal(draws)
    # What slot i holds when it is made: i if it drew itself; else what its source held then, that
    # is the last step before i that aimed at the source, or what the source was made with.
    known = previous >= 0
    known[draws == steps] = True
    link = np.where(known, steps, draws)
    value = np.where(draws == steps, steps, previous)
    made = value[_follow(link)]
    # Later steps that aim at slot i replace its value by their own number.
    made[draws] = steps  # of equal targets the last assignment stays
    return made


def _previous_equal(values: np.ndarray) -> np.ndarray:
    """For each position, the last earlier position with the same value, or -1."""
    n = len(values)
    if n < 2**31:
        keys = values << np.int64(32)
        keys |= np.arange(n, dtype=np.int64)
        keys.sort()
        order = keys & np.int64(0xFFFFFFFF)
        keys >>= np.int64(32)
    else:
        order = np.argsort(values, kind="stable")
        keys = values[order]
    previous = np.full(n, -1, dtype=np.int64)
    same = keys[1:] == keys[:-1]
    previous[order[1:][same]] = order[:-1][same]
    return previous


def _follow(link: np.ndarray) -> np.ndarray:
    """The end of each chain ``i -> link[i] -> ...``, where an end links to itself."""
    while True:
        further = link[link]
        if np.array_equal(further, link):
            return link
        link = further
