"""What things are made of: lacquer, ivory, brass, wood, felt, skin and light.

Every function returns one shared Blender material; asking twice gives the same.
"""

import bpy


def surface(name, color, roughness=0.5, metallic=0.0, coat=0.0, emission=0.0, specular=0.5):
    """A plain surface of one colour (linear RGB)."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    values = {
        "Base Color": (*color, 1),
        "Roughness": roughness,
        "Metallic": metallic,
        "Coat Weight": coat,
        "Coat Roughness": 0.03,
        "Emission Color": (*color, 1),
        "Emission Strength": emission,
        "Specular IOR Level": specular,
    }
    for key, value in values.items():
        shader_of(material).inputs[key].default_value = value
    return material


def shader_of(material):
    return material.node_tree.nodes["Principled BSDF"]


def lacquer():
    return surface("lacquer", (0.004, 0.004, 0.005), roughness=0.09, coat=1.0)


def satin_black():
    return surface("satin black", (0.012, 0.012, 0.014), roughness=0.35)


def matt_black():
    return surface("matt black", (0.01, 0.01, 0.012), roughness=0.7)


def brass():
    return surface("brass", (0.83, 0.58, 0.22), roughness=0.22, metallic=1.0)


def plate_gold():
    return surface("plate gold", (0.72, 0.45, 0.15), roughness=0.36, metallic=0.85)


def chrome():
    return surface("chrome", (0.75, 0.76, 0.80), roughness=0.14, metallic=1.0)


def steel():
    return surface("steel", (0.62, 0.62, 0.66), roughness=0.3, metallic=1.0)


def copper():
    return surface("copper", (0.70, 0.34, 0.16), roughness=0.32, metallic=1.0)


def felt(name, color):
    return surface(f"felt {name}", color, roughness=0.95, specular=0.1)


def paper():
    return surface("paper", (0.78, 0.74, 0.65), roughness=0.8, specular=0.2)


def drum_head():
    return surface("drum head", (0.80, 0.79, 0.76), roughness=0.45)


def lit(name, roughness=0.35, coat=0.0):
    """Takes its colour from each object, and shines by the object colour's fourth number: 0 no light, 1 full."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = surface(name, (1, 1, 1), roughness, coat=coat)
    links, shader = material.node_tree.links, shader_of(material)
    info = material.node_tree.nodes.new("ShaderNodeObjectInfo")
    links.new(info.outputs["Color"], shader.inputs["Base Color"])
    links.new(info.outputs["Color"], shader.inputs["Emission Color"])
    links.new(info.outputs["Alpha"], shader.inputs["Emission Strength"])
    return material


def wood(name, dark, light, scale=4.0, stretch=(1, 12, 1), roughness=0.35, coat=0.4):
    """Wood with a grain along its object's x axis."""
    if name in bpy.data.materials:
        return bpy.data.materials[name]
    material = surface(name, light, roughness, coat=coat)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    place, mapping = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping")
    noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
    mapping.inputs["Scale"].default_value = stretch
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, 3
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.68
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*dark, 1), (*light, 1)
    links.new(place.outputs["Object"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], noise.inputs["Vector"])
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], shader_of(material).inputs["Base Color"])
    return material
