"""The collections of a service: their models, searches and conversations, and who may use them."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagescope_agent.api import ImageScope
from imagescope_agent.chat.chats import Chats
from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.judges import JUDGES
from imagescope_agent.registry import graphs
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.services import Services, open_services, profile_of

if TYPE_CHECKING:
    from imagescope_agent.chat.web.page import Page


class Unknown(BadInput):
    """There is no such collection, image, run or conversation."""


class WrongKey(BadInput):
    """The request brings no key, or not that of the collection."""


@dataclass(kw_only=True)
class ServedCollection:
    """One collection of a service.

    Args:
        name: in addresses and requests.
        services: its models and index.
        key: the API key that its users send, "" for none.

    Attributes:
        chats: its conversations, open while the service runs.
        profile: which models were asked for; None for those that made the index.
        stamp: changes when the index is published anew; "" for one that is served as it is.
        problem: why a newer index is not served; "" where the newest one is.
        page: the web page, None where there is none.
    """

    name: str
    services: Services
    key: str = field(default="", repr=False)
    profile: str | None = None
    stamp: str = ""
    problem: str = ""
    chats: Chats | None = field(default=None, repr=False)
    page: Page | None = field(default=None, repr=False)
    _scopes: dict[str, ImageScope] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, folder: Path, *, profile: str | None = None, key: str = "") -> ServedCollection:
        """Open an indexed folder under its own name.

        Raises:
            BadInput: nothing is indexed there, or an unknown profile.
        """
        stamp = _stamp(manifest.find(folder))  # before it is read: what is published meanwhile is a change
        services = open_services(profile or profile_of(folder), folder)
        return cls(name=served_name(folder), services=services, key=key, profile=profile, stamp=stamp)

    def stamp_now(self) -> str:
        """The stamp of the index as it is on disk; "" where it cannot be seen."""
        try:
            return _stamp(self.services.collection.location)
        except OSError:
            return ""

    def reopened(self) -> ServedCollection:
        """The same collection with the index as it is on disk now; its conversations are not open.

        Raises:
            BadInput: it cannot be used.
            OSError: it cannot be read.
        """
        place = self.services.collection.location
        stamp = self.stamp_now()
        services = open_services(self.profile or profile_of(place), place)
        services.collection.takes_files = self.services.collection.takes_files
        return replace(self, services=services, stamp=stamp, problem="", chats=None, page=None, _scopes={})

    def scope(self, graph: str | None = None) -> ImageScope:
        """Searches with a graph by name, the profile's own when None; code of the caller's choice is never imported.

        Raises:
            BadInput: there is no graph of that name.
        """
        graph = graph or self.services.graph
        if (
            graph not in self._scopes
        ):  # looking for the graphs there are takes longer than a search in vectors
            if graph != self.services.graph and graph not in (names := graphs()):
                raise BadInput(f"there is no graph {graph!r}; {suggest(graph, names)}")
            self._scopes[graph] = ImageScope(self.services, graph=graph)
        return self._scopes[graph]

    def check_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a request, which may name the judges of the table only.

        Raises:
            BadInput: another judge.
        """
        judge = settings.get("judge")
        if judge is not None and judge not in JUDGES:
            raise BadInput(f"there is no judge {str(judge)[:60]!r}; {suggest(str(judge)[:60], JUDGES)}")
        return dict(settings)

    def public(self, message: str) -> str:
        """A message without where the collection lies on this machine."""
        for place in self._places:
            message = message.replace(place, self.name)
        return message

    def public_values(self, value: Any) -> Any:
        """Plain values without where the collection lies on this machine."""
        if isinstance(value, str):
            return self.public(value)
        if isinstance(value, dict):
            return {name: self.public_values(each) for name, each in value.items()}
        return [self.public_values(each) for each in value] if isinstance(value, list | tuple) else value

    @cached_property
    def _places(self) -> list[str]:
        collection = self.services.collection
        places = {
            str(each) for each in (collection.folder, collection.location, collection.location.resolve())
        }
        return sorted(places, key=len, reverse=True)


def _stamp(index: Path) -> str:
    """Changes when another manifest takes the place of this one."""
    status = (index / manifest.MANIFEST).stat()
    return f"{status.st_ino}:{status.st_mtime_ns}:{status.st_size}"


def served_name(folder: Path) -> str:
    """The name under which a folder is served: its own."""
    return folder.resolve().name or "collection"


class Collections:
    """The collections by name."""

    def __init__(self, served: list[ServedCollection]) -> None:
        self.by_name: dict[str, ServedCollection] = {}
        for each in served:
            if each.name in self.by_name:
                raise BadInput(f"two collections are named {each.name!r}; rename one of the folders")
            self.by_name[each.name] = each

    def find(self, name: str | None, key: str) -> ServedCollection:
        """The collection of a request, if its key opens it.

        Raises:
            Unknown: there is none of that name where none has a key, or none is named and there are several.
            WrongKey: the key is not the collection's, or there is none of that name where some have keys.
        """
        if name is None:
            if len(self.by_name) > 1:
                raise Unknown(
                    "there are several collections; name one of GET /v1/collections as `collection`"
                )
            name = next(iter(self.by_name))
        found = self.by_name.get(name)
        if found is None or not _opens(key, found.key):
            if not any(each.key for each in self.by_name.values()):
                raise Unknown(f"there is no collection {name[:80]!r}; {suggest(name[:80], self.by_name)}")
            # one answer for both, so that names are not guessed
            raise WrongKey(
                "there is no such collection for this key; send the key as `Authorization: Bearer KEY`"
            )
        return found

    def visible(self, key: str) -> list[ServedCollection]:
        """The collections that a key opens."""
        return [each for each in self.by_name.values() if _opens(key, each.key)]

    def models(self) -> list[object]:
        """The model of every role of every collection."""
        return [role.model for each in self.by_name.values() for role in each.services.roles.values()]

    def public(self, message: str) -> str:
        """A message without where the collections lie on this machine."""
        for each in self.by_name.values():
            message = each.public(message)
        return message


def _opens(given: str, key: str) -> bool:
    return not key or hmac.compare_digest(given.encode("utf-8", "surrogatepass"), key.encode())
