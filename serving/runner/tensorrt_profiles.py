"""Shapes (rows, length) that TensorRT engines are built for: the smallest, the one to tune for, the largest."""

Shape = tuple[int, int]
Profile = tuple[Shape, Shape, Shape]

# Rows of lengths from, to (the last: to the model's longest), and an engine for each.
LENGTHS = ((8, 32), (33, 128), (129, 512), (513, 1 << 20))
# Of a batch, for which engines are tuned; of the shortest rows they take as many, and are large enough if all are long.
TOKENS = 16_384


def profiles(max_tokens: int) -> list[Profile]:
    """From the shortest rows to the longest; a batch is for the first whose largest shape it fits in."""
    found = []
    for shortest, longest in LENGTHS:
        if shortest <= max_tokens:
            length = min(longest, max_tokens)
            found.append(((1, 1), (max(1, TOKENS // length), length), (max(1, TOKENS // shortest), length)))
    return found


def shapes(inputs: list[str], profile: Profile) -> list[str]:
    """As the options of TensorRT's tools and providers want the three: name:ROWSxLENGTH,…"""
    return [",".join(f"{name}:{rows}x{length}" for name in inputs) for rows, length in profile]
