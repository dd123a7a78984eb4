"""The actions as MCP tools: `aigc demo --mcp`, asked by the protocol's own client."""

import asyncio
import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

pytest_plugins = ["pages"]
pytest.importorskip("mcp", reason="the extra `mcp` is not installed")


@pytest.fixture(scope="module")
def tools(toys_home, serve):
    """The server with its tools."""
    with serve(toys_home, "-m", "aigc_demo", "demo", "--mcp", "--port", "{port}") as site:
        yield site


def asked(site, *calls):
    """What a client sees: the tools by name, and the answer to each (tool, arguments)."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def ask():
        async with streamable_http_client(f"{site.url}gradio_api/mcp/") as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            listed = {tool.name: tool for tool in (await session.list_tools()).tools}
            return listed, [await session.call_tool(name, arguments) for name, arguments in calls]

    with ThreadPoolExecutor(1) as thread:  # this one's event loop is the browser's, where its tests ran before
        return thread.submit(asyncio.run, ask()).result()


def test_an_assistant_can_do_what_the_page_does(tools):
    listed, (shelf, drawn, refused) = asked(
        tools,
        ("explore_list", {}),
        ("explore_picture", {"checkpoint": "tiny-vae", "seed": 5, "label": 2}),
        ("explore_picture", {"checkpoint": "../../etc/passwd"}),
    )
    assert {"explore_list", "explore_open", "explore_picture", "explore_sheet", "explore_directions", "explore_contact"} <= set(listed)
    assert {"train_start", "train_watch", "train_mark", "train_stop", "data_sources", "data_look"} <= set(listed)
    assert not {"live", "follow", "begin_run", "attach", "note"} & set(listed)  # the page's own are not tools
    about = listed["explore_picture"]
    assert about.description.startswith("Draw one picture")
    assert "the same seed" in about.inputSchema["properties"]["seed"]["description"]

    assert "tiny-vae" in json.dumps([c.text for c in shelf.content])
    picture = next(c for c in drawn.content if c.type == "image")
    with Image.open(io.BytesIO(base64.b64decode(picture.data))) as image:
        assert image.size == (28, 28)
    assert refused.isError
    assert "is not a name" in refused.content[0].text
    assert str(tools.home) not in refused.content[0].text


def test_the_tools_are_off_where_nobody_asked_for_them(site):
    assert site.get("gradio_api/mcp/schema")[0] == 404
