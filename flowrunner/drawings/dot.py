"""Turns a graph of flows into a drawing in the language of Graphviz."""

from flowrunner.drawings.graph import Graph


def draw_dot(graph: Graph) -> str:
    """A digraph from left to right: flows are boxes with their steps, topics are ovals."""
    flows = {box.name: f"f{index}" for index, box in enumerate(graph.boxes)}
    topics = {topic: f"t{index}" for index, topic in enumerate(graph.topics)}
    lines = ["digraph flows {", "  rankdir=LR;", '  node [fontname="sans-serif", fontsize=11];']
    lines += [f"  {topics[topic]} [label={_quote(topic.shown)}, shape=oval];" for topic in graph.topics]
    for box in graph.boxes:
        own = flows[box.name]
        style = "rounded" if box.is_enabled else "rounded,dashed"
        steps = " · ".join(node.kind for node in box.steps)
        lines.append(f'  {own} [label={_quote(box.name, steps)}, shape=box, style="{style}"];')
        for index, tick in enumerate(box.ticks):
            lines.append(f"  {own}s{index} [label={_quote(tick)}, shape=plaintext];")
            lines.append(f"  {own}s{index} -> {own};")
        lines += [f"  {topics[topic]} -> {own};" for topic in dict.fromkeys(topic for topic, _ in box.hears)]
        lines += [f"  {own} -> {topics[topic]};" for topic in dict.fromkeys(topic for topic, _ in box.publishes)]
        lines += [f"  {own} -> {flows[name]} [style=dotted, label=calls];" for name in box.calls if name in flows]
        if box.is_replying:
            lines += [f'  {own}r [label="response topic", shape=oval];', f"  {own} -> {own}r;"]
    lines += [f"  {topics[sent]} -> {topics[heard]} [style=dashed];" for sent, heard in graph.joints]
    return "\n".join([*lines, "}"]) + "\n"


def _quote(*lines: str) -> str:
    r"""Lines as one text in quotes; `\n` between them is the language's own line end."""
    escaped = [line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines if line]
    return '"' + "\\n".join(escaped) + '"'
