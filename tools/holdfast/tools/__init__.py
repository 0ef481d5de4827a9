"""What an agent may do: tools, their manifests and effects."""

from holdfast.tools.call import ToolCall
from holdfast.tools.errors import ToolDefinitionError, ToolError
from holdfast.tools.lookup import Found, NotFound
from holdfast.tools.manifest import EFFECTS, Effect, ManifestError, ToolManifest
from holdfast.tools.registry import RegistryError, ToolRegistry, registry_from_modules
from holdfast.tools.tool import Tool, tool

__all__ = [
    "EFFECTS",
    "Effect",
    "Found",
    "ManifestError",
    "NotFound",
    "RegistryError",
    "Tool",
    "ToolCall",
    "ToolDefinitionError",
    "ToolError",
    "ToolManifest",
    "ToolRegistry",
    "registry_from_modules",
    "tool",
]
