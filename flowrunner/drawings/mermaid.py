"""Turns a graph of flows into a drawing in the language of Mermaid, for Markdown files."""

from flowrunner.drawings.graph import Box, Graph


def draw_mermaid(graph: Graph) -> str:
    """A flowchart from left to right: flows are boxes with their steps, topics are round."""
    flows = {box.name: f"f{index}" for index, box in enumerate(graph.boxes)}
    topics = {topic: f"t{index}" for index, topic in enumerate(graph.topics)}
    lines = ["flowchart LR"]
    lines += [f'  {topics[topic]}(["{_escape(topic.shown)}"])' for topic in graph.topics]
    for box in graph.boxes:
        own = flows[box.name]
        lines.append(f'  {own}["{_label(box)}"]')
        lines += [f'  {own}s{index}(("{_escape(tick)}")) --> {own}' for index, tick in enumerate(box.ticks)]
        lines += [f"  {topics[topic]} --> {own}" for topic in dict.fromkeys(topic for topic, _ in box.hears)]
        lines += [f"  {own} --> {topics[topic]}" for topic in dict.fromkeys(topic for topic, _ in box.publishes)]
        lines += [f"  {own} -. calls .-> {flows[name]}" for name in box.calls if name in flows]
        lines += [f'  {own} --> {own}r(["response topic"])'] if box.is_replying else []
    lines += [f"  {topics[sent]} -.-> {topics[heard]}" for sent, heard in graph.joints]
    lines += [f"  style {flows[box.name]} stroke-dasharray: 4" for box in graph.boxes if not box.is_enabled]
    return "\n".join(lines) + "\n"


def _label(box: Box) -> str:
    steps = " · ".join(node.kind for node in box.steps)
    return f"<b>{_escape(box.name)}</b><br/>{_escape(steps)}"


def _escape(text: str) -> str:
    """A text as a label: what has a meaning in Mermaid or HTML by its number, blanks included that it would join."""
    return "".join(char if char.isalnum() or char in " ·/_-." else f"#{ord(char)};" for char in text)
