"""Faults of the edges between processes and servers: cut, silent, slow, late."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from tests.chaos.edges import Edge
from tests.chaos.faults.scene import Fault, Scene, within


class NetworkFaults:
    """Faults of edges, one at a time for each edge."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._dice = scene.dice
        self._edges = [edge for member in scene.members for edge in member.edges]

    def all(self) -> Mapping[str, Fault]:
        """Return all faults by name."""
        return {
            "edge_reset": self._reset_edge,
            "edge_silent": self._silence_edge,
            "edge_refuse": self._refuse_edge,
            "edge_delay": self._delay_edge,
            "edge_late": self._hold_back_edge,
            "answer_lost": self._lose_a_response,
        }

    async def heal(self) -> None:
        """Make all edges forward again."""
        for edge in self._scene.site.edges:
            edge.heal()

    def _an_edge(self) -> Edge:
        """Choose an edge that is in use, if there is one."""
        return self._dice.choice([edge for edge in self._edges if edge.is_used] or self._edges)

    async def _reset_edge(self) -> bool:
        edge = self._an_edge()
        is_used = edge.is_used
        edge.reset()
        return is_used

    async def _silence_edge(self) -> bool:
        seconds = self._dice.choice((1, 3, 7))
        return await self._harm(Edge.fall_silent, seconds, {"swallowed"})

    async def _refuse_edge(self) -> bool:
        seconds = self._dice.uniform(0.5, 5)
        return await self._harm(Edge.refuse, seconds, {"reset", "refused"})

    async def _delay_edge(self) -> bool:
        delay_s, seconds = self._dice.choice((0.02, 0.2, 0.8)), self._dice.uniform(1, 4)

        def delay(edge: Edge) -> None:
            edge.delay_s = delay_s

        return await self._harm(delay, seconds, {"delayed"})

    async def _hold_back_edge(self) -> bool:
        """Deliver everything late, even if its sender has given up."""
        seconds = self._dice.choice((2, 5, 8))
        return await self._harm(Edge.hold_back, seconds, {"held_back"})

    async def _lose_a_response(self) -> bool:
        edges = [edge for edge in self._scene.site.edges if edge.name.endswith(":database")]
        edge = self._dice.choice(edges)
        async with self._scene.alone_with(edge.name):
            lost_before = edge.counts["lost"]
            edge.lose_a_response()
            is_lost = await within(3, lambda: edge.counts["lost"] > lost_before)
            edge.keep_responses()
        return is_lost

    async def _harm(
        self, harm: Callable[[Edge], None], seconds: float, effects: Collection[str]
    ) -> bool:
        """Harm an edge for a while; return whether it had one of these effects meanwhile."""
        edge = self._an_edge()
        async with self._scene.alone_with(edge.name):
            before = Counter(edge.counts)
            harm(edge)
            await asyncio.sleep(seconds)
            has_effect = any(edge.counts[effect] > before[effect] for effect in effects)
            edge.heal()
        return has_effect
