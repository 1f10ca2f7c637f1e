"""What the commands for policy authors do: cases, explanations, comparisons, imports. Decisions come from the engine."""
