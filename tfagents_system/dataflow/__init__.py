"""All that crosses a process boundary: experience, policy variables, pacing."""
