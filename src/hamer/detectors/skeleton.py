"""Names of the 21 joints: wrist, then thumb, index, middle, ring and little finger, four each."""

from __future__ import annotations

WRIST = 0
INDEX_MCP, MIDDLE_MCP, RING_MCP, LITTLE_MCP = 5, 9, 13, 17
#: Wrist and the bases of the four fingers.
PALM = [WRIST, INDEX_MCP, MIDDLE_MCP, RING_MCP, LITTLE_MCP]
FINGERS = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
