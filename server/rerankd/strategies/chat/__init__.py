"""Chat models as strategies ask them: calls, stages, templates and defences of prompts."""
