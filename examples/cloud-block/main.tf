terraform {
  cloud {
    hostname     = "localhost:8080"
    organization = "default"

    workspaces {
      name = "my-app-production"
    }
  }
}

# Built into Terraform, so this example downloads nothing and touches nothing.
resource "terraform_data" "app" {
  input = {
    greeting = "Hello from ${terraform.workspace}"
    replicas = 3
  }
}

output "greeting" {
  description = "What the app says."
  value       = terraform_data.app.output.greeting
}

output "app" {
  description = "An output may have any shape."
  value       = terraform_data.app.output
}

output "password" {
  description = "Masked in lists; `terraform output -raw password` shows it."
  value       = "correct horse battery staple"
  sensitive   = true
}
